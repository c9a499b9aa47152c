INSERT INTO api_keys (id, name, digest, role, namespaces, created_at, created_by, expires_at, revoked_at)
VALUES (:id, :name, :digest, :role, :namespaces, :created_at, :created_by, :expires_at, :revoked_at)
