-- Primary keys. Nothing of a run that is there.
DELETE FROM artifacts
WHERE run = :run AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.run = :run)
