-- Primary key. Zero rows: the fence is stale or the attempt ended before.
UPDATE tasks SET state = 'delayed', ready_at = :until, attempt = attempt + 1, pool = coalesce(lane, pool)
WHERE task = :task AND fence = :fence AND state = 'running'
