-- Index leases_targeted, and the primary key. Under the row of the lock (lock_guard), so that no two get one place.
INSERT INTO leases (kind, name, holder, fence, place, expires_at, granted_at, detail, target)
SELECT 'wait', :name, :holder, coalesce(max(w.fence), 0) + 1, :place, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) + :ttl, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0), :detail, :key
FROM leases AS w WHERE w.target = :key AND w.kind = 'wait'
ON CONFLICT (kind, name) DO UPDATE
SET fence = excluded.fence, place = excluded.place, expires_at = excluded.expires_at, granted_at = excluded.granted_at
RETURNING fence
