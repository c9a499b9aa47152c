-- Index leases_expiring. Under the guard of the workers.
SELECT count(*) FROM leases WHERE kind = 'worker' AND expires_at >= coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) AND name <> :worker
