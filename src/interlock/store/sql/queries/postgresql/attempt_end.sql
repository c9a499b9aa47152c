-- Primary key.
UPDATE attempts SET ended_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), outcome = :outcome, failure = :failure, detail = :detail,
    started_at = coalesce(started_at, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) - :ran::float8)
WHERE task = :task AND fence = :fence AND outcome IS NULL
