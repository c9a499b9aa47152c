-- Unique (run, cause_id); a run that has ended is not told any more.
INSERT INTO inbox (run, cause_id, cause, posted_at)
SELECT run, :cause_id, :cause, (julianday('now') - 2440587.5) * 86400.0 FROM runs WHERE run = :run AND ended_at IS NULL
ON CONFLICT (run, cause_id) DO NOTHING
