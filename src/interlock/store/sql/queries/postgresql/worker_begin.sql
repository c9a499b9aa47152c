-- Primary key. The fence goes on from the row of before, or from what is above every row that was forgotten.
INSERT INTO leases (kind, name, holder, fence, place, expires_at, ttl, granted_at, detail)
VALUES ('worker', :worker::text, :session::text, (SELECT coalesce(max(value::bigint), 0) FROM meta WHERE meta.name = 'fence_floor') + 1, '', coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + :silent_seconds::float8, :silent_seconds::float8, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), :metrics::bytea)
ON CONFLICT (kind, name) DO UPDATE
SET holder = excluded.holder, fence = leases.fence + 1, expires_at = excluded.expires_at, ttl = excluded.ttl,
    granted_at = excluded.granted_at, detail = excluded.detail
