INSERT INTO published (namespace, name, version, digest, published_at)
VALUES (:namespace, :name, :version, :digest, :at)
ON CONFLICT (namespace, name, version) DO NOTHING
