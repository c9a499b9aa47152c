-- Primary key; the queue by the index leases_targeted. A free lock that nobody waits for and nobody shares, in one statement. No
-- rows: look closer. The fence goes on from the row of before, or from what is above every row that was swept away.
INSERT INTO leases (kind, name, holder, fence, place, expires_at, ttl, granted_at, detail)
SELECT 'lock', :key::text, :holder::text, (SELECT coalesce(max(value::bigint), 0) FROM meta WHERE meta.name = 'fence_floor') + 1, 'exclusive', coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + :ttl::float8, :ttl::float8, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), :detail::bytea
WHERE NOT EXISTS (SELECT 1 FROM leases AS w WHERE w.target = :key::text AND w.kind = 'wait' AND w.expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8))
ON CONFLICT (kind, name) DO UPDATE
SET holder = excluded.holder, fence = leases.fence + 1, place = excluded.place, expires_at = excluded.expires_at,
    ttl = excluded.ttl, granted_at = excluded.granted_at, detail = excluded.detail
WHERE leases.holder = '' AND leases.place <> 'shared'
RETURNING fence, granted_at, expires_at
