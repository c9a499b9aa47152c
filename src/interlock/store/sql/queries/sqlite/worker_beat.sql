-- Primary key. Zero rows: it was given up, or another process has its place.
UPDATE leases SET expires_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) + ttl, detail = :metrics
WHERE kind = 'worker' AND name = :worker AND holder = :session AND holder <> ''
