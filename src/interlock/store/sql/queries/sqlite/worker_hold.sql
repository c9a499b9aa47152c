-- Primary key. A worker's life, which nobody else changes until the end of the transaction.
SELECT holder, expires_at, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) FROM leases WHERE kind = 'worker' AND name = :worker
