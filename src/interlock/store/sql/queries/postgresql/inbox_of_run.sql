-- Index of the unique (run, cause_id).
SELECT number, run, cause FROM inbox WHERE run = :run ORDER BY number
