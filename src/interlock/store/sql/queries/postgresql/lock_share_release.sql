-- Index leases_targeted.
DELETE FROM leases WHERE target = :key::text AND kind = 'share' AND holder = :holder::text AND fence = :fence::bigint AND expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
