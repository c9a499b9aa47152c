-- Index logs_of_run.
DELETE FROM logs WHERE run = :run AND number IN (SELECT number FROM logs WHERE run = :run LIMIT :limit)
