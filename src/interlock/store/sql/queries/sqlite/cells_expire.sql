-- Index cells_expiring. Ends values whose time is over, some at a time.
UPDATE cells SET value = NULL, version = version + 1, nonce = '', deleted = 1, expires_at = NULL, changed_at = :now
WHERE (namespace, space, key) IN (SELECT namespace, space, key FROM cells WHERE expires_at <= :now ORDER BY expires_at LIMIT :limit)
