-- Primary key: by hand, one that is over and was no success; its fence goes on growing.
-- One that was never placed (fence 0) has its first attempt before it.
UPDATE tasks SET state = CASE WHEN EXISTS (SELECT 1 FROM task_edges AS e WHERE e.task = tasks.task) THEN 'blocked' ELSE 'ready' END,
  pool = coalesce(lane, pool), attempt = attempt + CASE WHEN fence = 0 THEN 0 ELSE 1 END, used = NULL, ready_at = NULL, ended_at = NULL, cancel = 0, held_by = NULL
WHERE task = :task AND lane IS NOT NULL AND state IN ('failed', 'cancelled', 'skipped', 'quarantined', 'delayed')
