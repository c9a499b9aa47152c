-- Index task_edges_of_task, then the primary key: those that nothing holds back any more. ANY of an array, since a join might
-- read all tasks, which are few when the plan is made.
WITH asked AS MATERIALIZED (SELECT DISTINCT task FROM json_array_elements_text(:tasks::text::json) AS t (task)),
free AS MATERIALIZED (
  SELECT task FROM asked WHERE NOT EXISTS (SELECT 1 FROM task_edges WHERE task_edges.task = asked.task))
UPDATE tasks
SET state = CASE
  WHEN ready_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) THEN 'delayed' ELSE 'ready' END
WHERE task = ANY (ARRAY (SELECT task FROM free)) AND state = 'blocked'
