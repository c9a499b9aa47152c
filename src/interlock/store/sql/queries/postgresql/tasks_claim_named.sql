-- Primary key: those of a JSON list that are still ready. What another claim is taking is left to it.
WITH picked AS MATERIALIZED (
  SELECT task FROM tasks WHERE task = ANY (ARRAY (SELECT json_array_elements_text(:tasks::text::json)))
    AND pool = :pool AND state = 'ready' ORDER BY task
  FOR UPDATE SKIP LOCKED),
claimed AS (
  UPDATE tasks SET state = 'running', fence = fence + 1 FROM picked WHERE tasks.task = picked.task
  RETURNING tasks.task, tasks.run, tasks.effect, tasks.path, tasks.fence, tasks.target, tasks.folder,
            tasks.idempotency_key, tasks.attempt, tasks.any_exit_code, tasks.priority, tasks.linked, tasks.spec, tasks.pool)
SELECT c.task, c.run, c.effect, c.path, c.fence, c.target, c.folder, c.idempotency_key, c.attempt, c.any_exit_code,
       (SELECT namespace FROM runs AS r WHERE r.run = c.run), (SELECT id FROM runs AS r WHERE r.run = c.run),
       c.spec, c.pool, c.linked, c.priority
FROM claimed AS c ORDER BY c.priority DESC, c.task
