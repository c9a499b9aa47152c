-- Primary key: those of a JSON list of [task, pool] that are still ready. What another placement is taking is left to it.
WITH picked AS MATERIALIZED (
  SELECT t.task, p.value ->> 1 AS pool
  FROM json_array_elements(:placements::text::json) AS p (value) JOIN tasks AS t ON t.task = p.value ->> 0
  WHERE t.state = 'ready' ORDER BY t.task FOR UPDATE OF t SKIP LOCKED),
placed AS (
  UPDATE tasks SET state = 'running', fence = fence + 1, pool = picked.pool FROM picked WHERE tasks.task = picked.task
  RETURNING tasks.*)
SELECT task, run, effect, path, fence, target, folder, idempotency_key, attempt, any_exit_code,
       CASE WHEN lane IS NULL THEN (SELECT namespace FROM runs WHERE runs.run = placed.run) ELSE (SELECT namespace FROM graphs WHERE graph = placed.run) END,
       CASE WHEN lane IS NULL THEN (SELECT id FROM runs WHERE runs.run = placed.run) ELSE '' END, spec, pool, linked, priority
FROM placed
