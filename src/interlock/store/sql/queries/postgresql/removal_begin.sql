-- Primary keys. Nothing is at work for the run, and nobody reopens it: the row is locked until it is gone.
INSERT INTO removals (run)
SELECT run FROM runs
WHERE run = :run AND ended_at <= :before
  AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.run = runs.run AND tasks.state = 'running')
FOR UPDATE OF runs
