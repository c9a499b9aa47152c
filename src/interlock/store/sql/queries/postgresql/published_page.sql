-- Primary key: what comes after (after_namespace, after_name, after_version). The others: NULL for any.
SELECT namespace, name, version, digest, published_at FROM published
WHERE (namespace, name, version) > (:after_namespace, :after_name, :after_version)
  AND (CAST(:namespace AS text) IS NULL OR namespace = CAST(:namespace AS text)) AND (CAST(:name AS text) IS NULL OR name = CAST(:name AS text))
  AND (CAST(:version AS text) IS NULL OR version = CAST(:version AS text))
ORDER BY namespace, name, version LIMIT :limit
