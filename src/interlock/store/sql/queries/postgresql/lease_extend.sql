-- Primary key. Zero rows: somebody ended the lease.
UPDATE leases SET expires_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + :ttl::float8 WHERE kind = :kind AND name = :name AND holder = :holder
