-- Primary key: those of a JSON list that are still ready.
UPDATE tasks SET state = 'running', fence = fence + 1
WHERE task IN (SELECT value FROM json_each(:tasks)) AND pool = :pool AND +state = 'ready'
RETURNING task, run, effect, path, fence, target, folder, idempotency_key, attempt, any_exit_code,
  (SELECT namespace FROM runs WHERE runs.run = tasks.run), (SELECT id FROM runs WHERE runs.run = tasks.run), spec, pool, linked, priority
