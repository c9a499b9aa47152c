-- Primary key: takes one run that nobody owns.
UPDATE runs SET owner = :node, freed_at = NULL, epoch = epoch + 1
WHERE run = :run AND owner IS NULL AND ended_at IS NULL
RETURNING run, epoch, wake_at, started_at IS NOT NULL
