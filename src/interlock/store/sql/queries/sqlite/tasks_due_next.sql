-- Index tasks_delayed.
SELECT ready_at - coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
FROM tasks WHERE state = 'delayed' ORDER BY ready_at LIMIT 1
