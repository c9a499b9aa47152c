-- Primary key. Makes the row of a lock, or locks it until the end of the transaction: what is decided about the lock is decided
-- under it.
INSERT INTO leases (kind, name, holder, fence, place, expires_at)
VALUES ('lock', :key::text, '', (SELECT coalesce(max(value::bigint), 0) FROM meta WHERE meta.name = 'fence_floor'), '', 0)
ON CONFLICT (kind, name) DO UPDATE SET fence = leases.fence
RETURNING fence
