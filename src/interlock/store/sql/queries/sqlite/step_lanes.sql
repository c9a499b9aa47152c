-- Index tasks_ready, one probe per name: those of a JSON list of lanes in which a step of a workflow is ready.
SELECT value FROM json_each(:lanes)
WHERE EXISTS (SELECT 1 FROM tasks WHERE pool = value AND state = 'ready' AND lane IS NULL)
