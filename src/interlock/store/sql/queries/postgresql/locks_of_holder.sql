-- Index leases_held. What a holder has, also what is over.
SELECT kind, name, fence, expires_at, ttl, target, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) FROM leases WHERE holder = :holder::text AND kind IN ('lock', 'share')
