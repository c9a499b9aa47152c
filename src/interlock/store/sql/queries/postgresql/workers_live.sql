-- Index leases_expiring. Under the guard of the workers.
SELECT count(*) FROM leases WHERE kind = 'worker' AND expires_at >= coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) AND name <> :worker::text
