-- Primary key. Under the row of the lock (lock_guard).
UPDATE leases
SET holder = :holder, fence = fence + 1, place = 'exclusive', expires_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) + :ttl, ttl = :ttl, granted_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0),
    detail = :detail
WHERE kind = 'lock' AND name = :key
RETURNING fence, granted_at, expires_at
