-- Primary key: those of a JSON list of [task, pool] that are still ready.
UPDATE tasks SET state = 'running', fence = fence + 1, pool = p.pool
FROM (SELECT json_extract(value, '$[0]') AS task, json_extract(value, '$[1]') AS pool FROM json_each(:placements)) AS p
WHERE tasks.task = p.task AND tasks.state = 'ready'
RETURNING tasks.task, run, effect, path, fence, target, folder, idempotency_key, attempt, any_exit_code,
  CASE WHEN lane IS NULL THEN (SELECT namespace FROM runs WHERE runs.run = tasks.run) END,
  CASE WHEN lane IS NULL THEN (SELECT id FROM runs WHERE runs.run = tasks.run) ELSE '' END, spec, tasks.pool, linked, priority
