-- Primary key, and the index leases_targeted. No rows: another grant came after it, or its time is over.
SELECT 1 FROM leases WHERE kind = 'lock' AND name = :key AND holder <> '' AND fence = :fence AND expires_at > coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
UNION ALL
SELECT 1 FROM leases WHERE target = :key AND kind = 'share' AND fence = :fence AND expires_at > coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
