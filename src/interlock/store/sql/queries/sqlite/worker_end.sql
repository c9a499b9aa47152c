-- Primary key. The row stays until the worker is forgotten: its fence goes on from there.
UPDATE leases SET holder = '', expires_at = 0, ttl = NULL, granted_at = NULL, detail = NULL
WHERE kind = 'worker' AND name = :worker AND holder = :session
