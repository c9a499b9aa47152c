-- Primary key. Under the row of the lock (lock_guard).
UPDATE leases
SET holder = :holder::text, fence = fence + 1, place = 'exclusive', expires_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + :ttl::float8, ttl = :ttl::float8, granted_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8),
    detail = :detail::bytea
WHERE kind = 'lock' AND name = :key::text
RETURNING fence, granted_at, expires_at
