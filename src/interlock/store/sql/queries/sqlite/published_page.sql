-- Primary key: what comes after (after_namespace, after_name, after_version). The others: NULL for any.
SELECT namespace, name, version, digest, published_at FROM published
WHERE (namespace, name, version) > (:after_namespace, :after_name, :after_version)
  AND (:namespace IS NULL OR namespace = :namespace) AND (:name IS NULL OR name = :name)
  AND (:version IS NULL OR version = :version)
ORDER BY namespace, name, version LIMIT :limit
