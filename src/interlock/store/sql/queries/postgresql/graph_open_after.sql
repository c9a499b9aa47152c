-- Index tasks_open: one step on it.
SELECT run FROM tasks WHERE run > :graph AND lane IS NOT NULL
  AND state NOT IN ('done', 'failed', 'cancelled', 'skipped') ORDER BY run LIMIT 1
