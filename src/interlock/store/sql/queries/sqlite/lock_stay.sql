-- Primary key. Zero rows: the place was lost.
UPDATE leases SET expires_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) + :ttl WHERE kind = 'wait' AND name = :name AND fence = :ticket AND expires_at > coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
