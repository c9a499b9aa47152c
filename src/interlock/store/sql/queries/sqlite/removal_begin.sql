-- Primary keys. Nothing is at work for the run, and nobody reopened it. `runs`: a JSON list.
INSERT INTO removals (run)
SELECT run FROM runs
WHERE run IN (SELECT value FROM json_each(:runs)) AND ended_at <= :before
  AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.run = runs.run AND tasks.state = 'running')
