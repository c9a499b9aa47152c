INSERT INTO definitions (digest, namespace, name, version, source) VALUES (:digest, :namespace, :name, :version, :source)
ON CONFLICT (digest) DO NOTHING
