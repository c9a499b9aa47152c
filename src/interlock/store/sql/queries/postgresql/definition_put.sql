-- Asked for again within the hour it is not written again.
INSERT INTO definitions (digest, namespace, name, version, source, resources, used_at)
VALUES (:digest, :namespace, :name, :version, :source, :resources, extract(epoch FROM clock_timestamp()))
ON CONFLICT (digest) DO UPDATE SET used_at = excluded.used_at
WHERE definitions.used_at IS NULL OR definitions.used_at < excluded.used_at - 3600
