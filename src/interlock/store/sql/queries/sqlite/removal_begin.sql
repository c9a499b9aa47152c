-- Primary keys. Nothing is at work for the run or for graphs that it loaded, its outcome is told, and nobody reopened it. `runs`: a JSON list.
INSERT INTO removals (run)
SELECT run FROM runs
WHERE run IN (SELECT value FROM json_each(:runs)) AND ended_at <= :before
  AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.run = runs.run AND tasks.state = 'running')
  AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.run = runs.run AND deliveries.state = 'pending')
  AND NOT EXISTS (SELECT 1 FROM waits WHERE waits.run = runs.run AND waits.ended_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM waits JOIN tasks ON tasks.run = waits.graph
                  WHERE waits.run = runs.run AND tasks.state = 'running')
