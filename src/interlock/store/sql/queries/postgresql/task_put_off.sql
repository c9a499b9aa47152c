-- Primary key: a rate allows it later.
UPDATE tasks SET state = 'delayed', ready_at = :ready_at, pool = coalesce(lane, pool), fence = fence - 1 WHERE task = :task AND state = 'running'
