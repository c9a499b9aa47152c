-- Index of the unique (run, cause_id).
DELETE FROM inbox WHERE run = :run AND number IN (SELECT number FROM inbox WHERE run = :run LIMIT :limit)
