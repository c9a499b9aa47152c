-- Index leases_held.
UPDATE leases SET expires_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + :ttl::float8 WHERE holder = :holder AND kind = :kind
