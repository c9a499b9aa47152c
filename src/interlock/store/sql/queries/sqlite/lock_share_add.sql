-- One row of the lock's, named after its fence.
INSERT INTO leases (kind, name, holder, fence, place, expires_at, ttl, granted_at, detail, target)
VALUES ('share', :name, :holder, :fence, :place, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) + :ttl, :ttl, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0), :detail, :key)
RETURNING fence, granted_at, expires_at
