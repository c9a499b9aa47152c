-- Primary key. The fence goes on from the row of before, or from what is above every row that was forgotten.
INSERT INTO leases (kind, name, holder, fence, place, expires_at, ttl, granted_at, detail)
VALUES ('worker', :worker, :session, (SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE meta.name = 'fence_floor') + 1, '', coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) + :silent_seconds, :silent_seconds, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0), :metrics)
ON CONFLICT (kind, name) DO UPDATE
SET holder = excluded.holder, fence = leases.fence + 1, expires_at = excluded.expires_at, ttl = excluded.ttl,
    granted_at = excluded.granted_at, detail = excluded.detail
