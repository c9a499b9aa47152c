-- Index tasks_ready: only tasks of runs that the node owns.
UPDATE tasks SET state = 'running', fence = fence + 1
WHERE task IN (
  SELECT t.task FROM tasks AS t JOIN runs AS r ON r.run = t.run
  WHERE t.pool = :pool AND t.state = 'ready' AND r.owner = :node ORDER BY t.priority DESC, t.rank, t.task LIMIT :limit)
RETURNING task, run, effect, path, fence, target, folder, idempotency_key, attempt, any_exit_code,
  (SELECT namespace FROM runs WHERE runs.run = tasks.run), (SELECT id FROM runs WHERE runs.run = tasks.run), spec, pool, linked, priority
