-- Index tasks_ready.
UPDATE tasks SET state = 'running', fence = fence + 1
WHERE task IN (SELECT task FROM tasks WHERE pool = :pool AND state = 'ready' ORDER BY priority DESC, rank, task LIMIT :limit)
RETURNING task, run, effect, path, fence, target, folder, idempotency_key, attempt, any_exit_code,
  (SELECT namespace FROM runs WHERE runs.run = tasks.run), (SELECT id FROM runs WHERE runs.run = tasks.run), spec, pool, linked, priority
