-- Primary key.
UPDATE tasks SET state = :state, used = :used, ended_at = CASE WHEN :state = 'quarantined' THEN NULL ELSE coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) END
WHERE task = :task AND fence = :fence AND state = 'running' RETURNING linked
