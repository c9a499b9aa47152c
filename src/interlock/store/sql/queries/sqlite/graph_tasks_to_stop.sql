-- Index tasks_open: those that are not over, and were not asked to stop.
SELECT task FROM tasks WHERE run = :graph AND lane IS NOT NULL AND state NOT IN ('done', 'failed', 'cancelled', 'skipped') AND cancel = 0 LIMIT :limit
