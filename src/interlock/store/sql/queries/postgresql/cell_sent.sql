-- Primary key: a write that was sent before, among the changes after the version that it was based on. A change's number is not below
-- the version that it made.
SELECT value, version, stamp, writer, NULL::float8, at, at FROM cell_changes
WHERE number > coalesce(:base::bigint, 0) AND namespace = :namespace::text AND space = :space::text AND key = :key::text AND nonce = :nonce::text
