-- Index runs_free: takes the oldest runs that nobody owns, but none of a definition in `refused`, a JSON list of digests.
UPDATE runs SET owner = :node, freed_at = NULL, epoch = epoch + 1
WHERE run IN (
  SELECT run FROM runs
  WHERE owner IS NULL AND ended_at IS NULL AND definition NOT IN (SELECT value FROM json_each(:refused))
  ORDER BY run LIMIT :limit)
RETURNING run, epoch, wake_at, started_at IS NOT NULL
