-- Index tasks_delayed.
SELECT 1 FROM tasks WHERE state = 'delayed' AND ready_at <= coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) LIMIT 1
