-- Primary key.
UPDATE attempts SET ended_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0), outcome = :outcome, failure = :failure, detail = :detail
WHERE task = :task AND fence = :fence AND outcome IS NULL
