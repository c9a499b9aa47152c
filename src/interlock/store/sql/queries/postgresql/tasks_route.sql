-- Primary key: leaves ready tasks, a JSON list of [task, pool], to the workers of a pool. Found as by `tasks_place`.
WITH picked AS MATERIALIZED (
  SELECT t.task, p.value ->> 1 AS pool
  FROM json_array_elements(:placements::text::json) AS p (value)
  CROSS JOIN LATERAL (
    SELECT task FROM tasks WHERE task = p.value ->> 0 AND state || '' = 'ready' LIMIT 1 FOR UPDATE SKIP LOCKED) AS t)
UPDATE tasks SET pool = picked.pool FROM picked WHERE tasks.task = picked.task RETURNING tasks.task
