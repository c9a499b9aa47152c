-- Primary key. Zero rows: it is not that holder's, or is shared, or its time is over.
UPDATE leases SET holder = '', place = '', expires_at = 0, ttl = NULL, granted_at = NULL, detail = NULL
WHERE kind = 'lock' AND name = :key::text AND holder = :holder::text AND holder <> '' AND fence = :fence::bigint AND expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
