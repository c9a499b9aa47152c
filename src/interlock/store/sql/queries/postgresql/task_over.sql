-- Primary key.
UPDATE tasks SET state = :state::text, used = :used, ended_at = CASE WHEN :state::text = 'quarantined' THEN NULL ELSE coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) END
WHERE task = :task AND fence = :fence AND state = 'running' RETURNING linked
