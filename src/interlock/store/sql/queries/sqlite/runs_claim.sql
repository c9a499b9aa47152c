-- Index runs_free: takes the oldest runs that nobody owns.
UPDATE runs SET owner = :node, epoch = epoch + 1
WHERE run IN (SELECT run FROM runs WHERE owner IS NULL AND ended_at IS NULL ORDER BY run LIMIT :limit)
RETURNING run, epoch, wake_at, started_at IS NOT NULL
