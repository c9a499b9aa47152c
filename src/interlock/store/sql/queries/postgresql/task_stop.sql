-- Primary key: one that nobody performs, whatever it waits for.
UPDATE tasks SET state = 'cancelled', ended_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), held_by = NULL
WHERE task = :task AND state IN ('blocked', 'ready', 'held', 'delayed', 'quarantined') RETURNING linked
