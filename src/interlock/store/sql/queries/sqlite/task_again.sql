-- Primary key: back to its lane, at once or later.
UPDATE tasks SET state = CASE WHEN :until > coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) THEN 'delayed' ELSE 'ready' END, ready_at = :until,
  pool = coalesce(lane, pool), attempt = attempt + :counts, used = :used
WHERE task = :task AND fence = :fence AND state = 'running'
