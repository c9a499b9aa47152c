-- Primary key.
UPDATE tasks SET state = 'skipped', ended_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) WHERE task = :task AND state = 'blocked'
