-- Primary key. Zero rows: somebody ended the lease.
UPDATE leases SET expires_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) + :ttl WHERE kind = :kind AND name = :name AND holder = :holder
