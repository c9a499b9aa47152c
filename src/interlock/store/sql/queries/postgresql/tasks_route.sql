-- Primary key: leaves ready tasks, a JSON list of [task, pool], to the workers of a pool.
WITH picked AS MATERIALIZED (
  SELECT t.task, p.value ->> 1 AS pool
  FROM json_array_elements(:placements::text::json) AS p (value) JOIN tasks AS t ON t.task = p.value ->> 0
  WHERE t.state = 'ready' ORDER BY t.task FOR UPDATE OF t SKIP LOCKED)
UPDATE tasks SET pool = picked.pool FROM picked WHERE tasks.task = picked.task RETURNING tasks.task
