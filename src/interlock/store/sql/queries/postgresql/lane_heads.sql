-- Index tasks_ready: the first tasks of a lane.
SELECT task, run, priority, rank, created_at, attempt, spec FROM tasks
WHERE pool = :lane AND state = 'ready' AND lane IS NOT NULL ORDER BY priority DESC, rank, task LIMIT :limit
