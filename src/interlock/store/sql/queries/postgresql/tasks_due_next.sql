-- Index tasks_delayed.
SELECT ready_at - coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
FROM tasks WHERE state = 'delayed' AND ready_at < 'infinity'::float8 ORDER BY ready_at LIMIT 1
