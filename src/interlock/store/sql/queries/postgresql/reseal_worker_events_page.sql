-- Primary key.
SELECT number, detail FROM worker_events
WHERE number > :number::bigint ORDER BY number LIMIT :limit
