-- Index tasks_delayed.
SELECT 1 FROM tasks WHERE state = 'delayed' AND ready_at <= coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) LIMIT 1
