-- Primary key, and the index leases_targeted: a lock, its shares and its queue.
SELECT kind, holder, fence, place, expires_at, ttl, granted_at, detail, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
FROM leases WHERE kind = 'lock' AND name = :key::text
UNION ALL
SELECT kind, holder, fence, place, expires_at, ttl, granted_at, detail, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
FROM leases WHERE target = :key::text AND kind IN ('share', 'wait') AND expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
