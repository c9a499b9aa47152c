-- Index tasks_ready: the first steps of workflows in a lane.
SELECT task, (SELECT id FROM runs WHERE runs.run = tasks.run), path, priority, rank, target, needs FROM tasks
WHERE pool = :lane AND state = 'ready' AND lane IS NULL ORDER BY priority DESC, rank, task LIMIT :limit
