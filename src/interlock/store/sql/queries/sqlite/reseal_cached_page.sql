-- Primary key.
SELECT namespace, name, key, body FROM cached
WHERE (namespace, name, key) > (:namespace, :name, :key) ORDER BY namespace, name, key LIMIT :limit
