-- Primary key; the stale ones by the index leases_expiring, those that are gone end at 0. No rows: it was given up, or another
-- process has its place.
UPDATE leases SET expires_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + ttl, detail = :metrics::bytea
WHERE kind = 'worker' AND name = :worker::text AND holder = :session::text AND holder <> ''
RETURNING (SELECT count(*) FROM leases AS s WHERE s.kind = 'worker' AND s.expires_at > 0 AND s.expires_at < coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) AND s.name <> :worker::text)
