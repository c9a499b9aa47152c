-- Index leases_targeted, and the primary key. Under the row of the lock (lock_guard), so that no two get one place.
INSERT INTO leases (kind, name, holder, fence, place, expires_at, granted_at, detail, target)
SELECT 'wait', :name::text, :holder::text, coalesce(max(w.fence), 0) + 1, :place::text, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + :ttl::float8, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), :detail::bytea, :key::text
FROM leases AS w WHERE w.target = :key::text AND w.kind = 'wait'
ON CONFLICT (kind, name) DO UPDATE
SET fence = excluded.fence, place = excluded.place, expires_at = excluded.expires_at, granted_at = excluded.granted_at
RETURNING fence
