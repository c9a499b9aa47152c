-- Index runs_ended, oldest first; the next page begins after the last row of the one before.
SELECT run, namespace, id, workflow, status, ended_at FROM runs
WHERE ended_at >= :after_at AND ended_at <= :before AND (ended_at > :after_at OR run > :after_run)
ORDER BY ended_at, run LIMIT :limit
