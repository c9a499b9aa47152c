-- Primary keys. Zero rows: the predecessor is over, so that nobody would take the edge away. Its row is held, so that its end comes
-- before this or finds the edge.
INSERT INTO task_edges (predecessor, task, blocking)
SELECT p.task, :task, :blocking FROM (
  SELECT task FROM tasks WHERE task = :predecessor AND state NOT IN ('done', 'failed', 'cancelled', 'skipped') FOR UPDATE) AS p
ON CONFLICT (predecessor, task) DO NOTHING
