-- Primary key. Zero rows: the place was lost.
UPDATE leases SET expires_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + :ttl::float8 WHERE kind = 'wait' AND name = :name::text AND fence = :ticket::bigint AND expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
