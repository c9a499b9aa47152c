-- Index cell_changes_sent: what a write did that was sent before.
SELECT value, version, stamp, writer, NULL, at, at FROM cell_changes
WHERE nonce = :nonce AND nonce <> '' AND namespace = :namespace AND space = :space AND key = :key
