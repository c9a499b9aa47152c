-- Primary key.
UPDATE attempts SET started_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) - :ran
WHERE task = :task AND fence = :fence AND started_at IS NULL AND outcome IS NULL
