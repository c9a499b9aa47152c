-- Primary key; the stale ones by the index leases_expiring, those that are gone end at 0. No rows: it was given up, or another
-- process has its place.
UPDATE leases SET expires_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) + ttl, detail = :metrics
WHERE kind = 'worker' AND name = :worker AND holder = :session AND holder <> ''
RETURNING (SELECT count(*) FROM leases AS s WHERE s.kind = 'worker' AND s.expires_at > 0 AND s.expires_at < coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) AND s.name <> :worker)
