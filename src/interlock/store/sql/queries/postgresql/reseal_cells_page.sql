-- Primary key.
SELECT namespace, space, key, value FROM cells
WHERE (namespace, space, key) > (:namespace::text, :space::text, :key::text) ORDER BY namespace, space, key LIMIT :limit
