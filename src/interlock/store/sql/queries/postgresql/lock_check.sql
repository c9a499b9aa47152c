-- Primary key, and the index leases_targeted. No rows: another grant came after it, or its time is over.
SELECT 1 FROM leases WHERE kind = 'lock' AND name = :key::text AND holder <> '' AND fence = :fence::bigint AND expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
UNION ALL
SELECT 1 FROM leases WHERE target = :key::text AND kind = 'share' AND fence = :fence::bigint AND expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
