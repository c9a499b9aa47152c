-- Primary keys; OFFSET keeps the tasks from being joined as a whole. Nothing is at work for the run or for graphs that it loaded, its outcome is told, and nobody reopens it: the row is locked until it is gone. `runs`: a JSON list.
INSERT INTO removals (run)
SELECT run FROM runs
WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) AND ended_at <= :before
  AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.run = runs.run AND tasks.state = 'running'
                  OFFSET 0)
  AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.run = runs.run AND coalesce(deliveries.state, '') = 'pending' OFFSET 0)
  AND NOT EXISTS (SELECT 1 FROM waits WHERE waits.run = runs.run AND waits.ended_at IS NULL OFFSET 0)
  AND NOT EXISTS (SELECT 1 FROM waits JOIN tasks ON tasks.run = waits.graph
                  WHERE waits.run = runs.run AND tasks.state = 'running' OFFSET 0)
ORDER BY run FOR UPDATE OF runs
