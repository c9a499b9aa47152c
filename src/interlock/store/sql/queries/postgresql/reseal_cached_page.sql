-- Primary key.
SELECT namespace, name, key, body FROM cached
WHERE (namespace, name, key) > (:namespace::text, :name::text, :key::text) ORDER BY namespace, name, key LIMIT :limit
