-- Indexes tasks_open and tasks_unsuccessful: what is done is the rest.
SELECT state, count(*) FROM tasks WHERE run = :graph AND lane IS NOT NULL
  AND state NOT IN ('done', 'failed', 'cancelled', 'skipped') GROUP BY state
UNION ALL
SELECT state, count(*) FROM tasks WHERE run = :graph AND lane IS NOT NULL
  AND state IN ('failed', 'cancelled', 'skipped') GROUP BY state
