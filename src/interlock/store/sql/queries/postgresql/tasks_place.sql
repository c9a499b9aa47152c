-- Primary key: those of a JSON list of [task, pool] that are still ready. What another placement is taking is left to it.
-- A look for each by itself, by its name alone: a join, or the index of what is ready, might read all ready tasks for each.
WITH picked AS MATERIALIZED (
  SELECT t.task, p.value ->> 1 AS pool
  FROM json_array_elements(:placements::text::json) AS p (value)
  CROSS JOIN LATERAL (
    SELECT task FROM tasks WHERE task = p.value ->> 0 AND state || '' = 'ready' LIMIT 1 FOR UPDATE SKIP LOCKED) AS t)
UPDATE tasks SET state = 'running', fence = fence + 1, pool = picked.pool FROM picked WHERE tasks.task = picked.task
RETURNING tasks.task, run, effect, path, fence, target, folder, idempotency_key, attempt, any_exit_code,
          CASE WHEN lane IS NULL THEN (SELECT namespace FROM runs WHERE runs.run = tasks.run) END,
          CASE WHEN lane IS NULL THEN (SELECT id FROM runs WHERE runs.run = tasks.run) ELSE '' END, spec, tasks.pool, linked, priority
