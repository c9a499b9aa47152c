-- Whole table, once.
UPDATE runs SET epoch = epoch + :step, owner = NULL, freed_at = CASE WHEN ended_at IS NULL THEN :at END
