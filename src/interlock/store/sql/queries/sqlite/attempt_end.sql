-- Primary key.
UPDATE attempts SET ended_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0), outcome = :outcome, failure = :failure, detail = :detail,
    started_at = coalesce(started_at, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) - :ran)
WHERE task = :task AND fence = :fence AND outcome IS NULL
