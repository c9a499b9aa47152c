-- Primary key.
UPDATE attempts SET started_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) - :ran::float8
WHERE task = :task AND fence = :fence AND started_at IS NULL AND outcome IS NULL
