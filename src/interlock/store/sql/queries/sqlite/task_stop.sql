-- Primary key: one that nobody performs, whatever it waits for.
UPDATE tasks SET state = 'cancelled', ended_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0), held_by = NULL
WHERE task = :task AND state IN ('blocked', 'ready', 'held', 'delayed', 'quarantined') RETURNING linked
