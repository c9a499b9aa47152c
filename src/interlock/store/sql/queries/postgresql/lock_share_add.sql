-- One row of the lock's, named after its fence.
INSERT INTO leases (kind, name, holder, fence, place, expires_at, ttl, granted_at, detail, target)
VALUES ('share', :name::text, :holder::text, :fence::bigint, :place::text, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + :ttl::float8, :ttl::float8, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), :detail::bytea, :key::text)
RETURNING fence, granted_at, expires_at
