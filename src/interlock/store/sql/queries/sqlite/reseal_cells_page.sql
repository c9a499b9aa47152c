-- Primary key.
SELECT namespace, space, key, value FROM cells
WHERE (namespace, space, key) > (:namespace, :space, :key) ORDER BY namespace, space, key LIMIT :limit
