-- Index cells_expiring. Ends values whose time is over, some at a time.
UPDATE cells SET value = NULL, version = version + 1, nonce = '', deleted = 1, expires_at = NULL, changed_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
WHERE (namespace, space, key) IN (SELECT namespace, space, key FROM cells WHERE expires_at <= coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) ORDER BY expires_at LIMIT :limit)
