-- Primary key, then index task_edges_of_task: those that nothing holds back any more.
UPDATE tasks SET state = CASE WHEN ready_at > coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) THEN 'delayed' ELSE 'ready' END
WHERE state = 'blocked' AND task IN (SELECT value FROM json_each(:tasks))
  AND NOT EXISTS (SELECT 1 FROM task_edges WHERE task_edges.task = tasks.task)
