-- Index leases_held and the primary key, under the row of the worker (worker_lock): what it holds, and whether it is heard of.
SELECT (SELECT count(*) FROM leases WHERE holder = :session::text AND kind IN ('slot', 'attempt')),
       (SELECT count(*) FROM leases WHERE kind = 'worker' AND name = :worker::text AND holder = :session::text AND expires_at >= coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8))
