-- Unique (run, cause_id): the same cause counts once.
INSERT INTO inbox (run, cause_id, cause) VALUES (:run, :cause_id, :cause)
ON CONFLICT (run, cause_id) DO NOTHING
RETURNING number
