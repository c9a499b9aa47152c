-- Index cell_changes_sent: what a write did that was sent before.
SELECT value, version, stamp, writer, NULL::float8, at, at FROM cell_changes
WHERE nonce = :nonce::text AND nonce <> '' AND namespace = :namespace::text AND space = :space::text AND key = :key::text
