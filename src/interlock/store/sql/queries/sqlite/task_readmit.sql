-- Index tasks_held: the most urgent one that waits for the limit.
UPDATE tasks SET state = 'ready', held_by = NULL
WHERE task IN (SELECT task FROM tasks WHERE state = 'held' AND held_by = :name ORDER BY priority DESC, rank, task LIMIT 1)
