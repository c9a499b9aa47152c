-- Index leases_held and the primary key, under the row of the worker (worker_lock): what it holds, and whether it is heard of.
SELECT (SELECT count(*) FROM leases WHERE holder = :session AND kind IN ('slot', 'attempt')),
       (SELECT count(*) FROM leases WHERE kind = 'worker' AND name = :worker AND holder = :session AND expires_at >= coalesce(:now, (julianday('now') - 2440587.5) * 86400.0))
