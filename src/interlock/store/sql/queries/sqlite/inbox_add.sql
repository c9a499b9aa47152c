-- Unique (run, cause_id): the same cause counts once. `posted_at` only tells people how old the oldest row is.
INSERT INTO inbox (run, cause_id, cause, posted_at)
VALUES (:run, :cause_id, :cause, (julianday('now') - 2440587.5) * 86400.0)
ON CONFLICT (run, cause_id) DO NOTHING
RETURNING number
