-- Primary key. Zero rows: it was given up, or another process has its place.
UPDATE leases SET expires_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + ttl, detail = :metrics::bytea
WHERE kind = 'worker' AND name = :worker::text AND holder = :session::text AND holder <> ''
