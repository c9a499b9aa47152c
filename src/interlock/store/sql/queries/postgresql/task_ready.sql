-- Index tasks_ready.
SELECT 1 FROM tasks WHERE pool = :pool AND state = 'ready' LIMIT 1
