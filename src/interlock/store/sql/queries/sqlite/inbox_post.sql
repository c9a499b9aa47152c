-- Unique (run, cause_id); a run that has ended is not told any more.
INSERT INTO inbox (run, cause_id, cause)
SELECT run, :cause_id, :cause FROM runs WHERE run = :run AND ended_at IS NULL
ON CONFLICT (run, cause_id) DO NOTHING
