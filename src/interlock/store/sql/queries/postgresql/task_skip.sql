-- Primary key.
UPDATE tasks SET state = 'skipped', ended_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) WHERE task = :task AND state = 'blocked'
