-- Index tasks_ready, one probe per name: those of a JSON list of lanes in which a step of a workflow is ready.
-- In its order and one row of each, since a join would read all that is ready.
SELECT l.name FROM json_array_elements_text(:lanes::text::json) AS l (name) CROSS JOIN LATERAL (
  SELECT 1 FROM tasks WHERE pool = l.name AND state = 'ready' AND lane IS NULL ORDER BY priority DESC, rank, task LIMIT 1) AS t
