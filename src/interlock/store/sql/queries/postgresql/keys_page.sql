-- Primary key: pages by it.
SELECT id, name, digest, role, namespaces, created_at, created_by, expires_at, revoked_at FROM api_keys
WHERE id > :after ORDER BY id LIMIT :limit
