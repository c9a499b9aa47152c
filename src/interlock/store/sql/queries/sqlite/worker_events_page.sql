-- Primary key.
SELECT number, at, worker, kind, detail FROM worker_events WHERE number > :after ORDER BY number LIMIT :limit
