-- Primary key.
SELECT d.digest, d.namespace, d.name, d.version, d.source, d.resources, p.published_at
FROM published AS p JOIN definitions AS d ON d.digest = p.digest
WHERE p.namespace = :namespace AND p.name = :name AND p.version = :version
