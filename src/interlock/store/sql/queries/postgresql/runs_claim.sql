-- Index runs_free: takes the oldest runs that nobody owns and nobody else is taking, but none of a definition in
-- `refused`, a JSON list of digests.
WITH free AS MATERIALIZED (
  SELECT run FROM runs WHERE owner IS NULL AND ended_at IS NULL
    AND definition NOT IN (SELECT jsonb_array_elements_text(:refused::text::jsonb))
  ORDER BY run LIMIT :limit FOR UPDATE SKIP LOCKED),
claimed AS (
  UPDATE runs SET owner = :node, freed_at = NULL, epoch = epoch + 1 FROM free WHERE runs.run = free.run
  RETURNING runs.run, runs.epoch, runs.wake_at, runs.started_at IS NOT NULL AS was_live)
SELECT run, epoch, wake_at, was_live FROM claimed ORDER BY run
