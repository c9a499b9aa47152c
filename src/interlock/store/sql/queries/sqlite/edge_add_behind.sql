-- Primary keys. Zero rows: the predecessor is over, so that nobody would take the edge away.
INSERT INTO task_edges (predecessor, task, blocking)
SELECT task, :task, :blocking FROM tasks WHERE task = :predecessor AND state NOT IN ('done', 'failed', 'cancelled', 'skipped')
ON CONFLICT (predecessor, task) DO NOTHING
