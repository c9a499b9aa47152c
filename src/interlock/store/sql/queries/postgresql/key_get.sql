-- Primary key.
SELECT id, name, digest, role, namespaces, created_at, created_by, expires_at, revoked_at FROM api_keys WHERE id = :id
