-- Index of the unique (run, cause_id).
DELETE FROM inbox WHERE run = :run
