-- Index workers_of_state. Under the guard of the workers.
SELECT worker FROM workers WHERE state IN ('offline', 'removed') AND ended_at < :before::float8
