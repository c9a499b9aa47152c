-- Primary key, and the index leases_targeted: a lock, its shares and its queue.
SELECT kind, holder, fence, place, expires_at, ttl, granted_at, detail, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
FROM leases WHERE kind = 'lock' AND name = :key
UNION ALL
SELECT kind, holder, fence, place, expires_at, ttl, granted_at, detail, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
FROM leases WHERE target = :key AND kind IN ('share', 'wait') AND expires_at > coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
