INSERT INTO definitions (digest, namespace, name, version, source, resources)
VALUES (:digest, :namespace, :name, :version, :source, :resources)
ON CONFLICT (digest) DO NOTHING
