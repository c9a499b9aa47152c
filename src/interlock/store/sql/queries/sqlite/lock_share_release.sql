-- Index leases_targeted.
DELETE FROM leases WHERE target = :key AND kind = 'share' AND holder = :holder AND fence = :fence AND expires_at > coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
