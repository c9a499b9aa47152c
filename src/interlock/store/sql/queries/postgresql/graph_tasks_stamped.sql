-- Indexes tasks_open and tasks_unsuccessful: what may be placed some time, in the order of its graph; not what is done.
SELECT task, effect, priority, rank, created_at, spec FROM tasks WHERE run = :graph AND lane IS NOT NULL
  AND state NOT IN ('done', 'failed', 'cancelled', 'skipped')
UNION ALL
SELECT task, effect, priority, rank, created_at, spec FROM tasks WHERE run = :graph AND lane IS NOT NULL
  AND state IN ('failed', 'cancelled', 'skipped')
ORDER BY effect
