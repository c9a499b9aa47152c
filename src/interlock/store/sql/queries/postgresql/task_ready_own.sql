-- Index tasks_ready: only tasks of runs that the node owns.
SELECT 1 FROM tasks AS t JOIN runs AS r ON r.run = t.run
WHERE t.pool = :pool AND t.state = 'ready' AND r.owner = :node LIMIT 1
