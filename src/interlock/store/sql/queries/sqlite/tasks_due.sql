-- Index tasks_delayed.
UPDATE tasks SET state = 'ready' WHERE task IN (
  SELECT task FROM tasks WHERE state = 'delayed' AND ready_at <= coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
  ORDER BY ready_at LIMIT :limit)
