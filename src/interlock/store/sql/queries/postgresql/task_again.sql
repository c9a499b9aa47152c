-- Primary key: back to its lane, at once or later.
UPDATE tasks SET state = CASE WHEN :until::float8 > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) THEN 'delayed' ELSE 'ready' END, ready_at = :until::float8,
  pool = coalesce(lane, pool), attempt = attempt + :counts::bigint, used = :used
WHERE task = :task AND fence = :fence AND state = 'running'
