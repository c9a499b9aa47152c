-- Primary key.
SELECT number, detail FROM worker_events
WHERE number > :number ORDER BY number LIMIT :limit
