-- Index runs_owned.
SELECT run, epoch, wake_at, started_at IS NOT NULL FROM runs WHERE owner = :node AND ended_at IS NULL
