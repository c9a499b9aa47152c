-- Primary key: its program runs, as far as its pool says.
UPDATE attempts SET started_at = coalesce(started_at, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)) WHERE task = :task AND fence = :fence
