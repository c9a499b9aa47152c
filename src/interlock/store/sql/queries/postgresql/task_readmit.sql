-- Index tasks_held: the most urgent one that waits for the limit. One that is being cancelled waits no more.
WITH first AS MATERIALIZED (
  SELECT task FROM tasks WHERE state = 'held' AND held_by = :name ORDER BY priority DESC, rank, task LIMIT 1
  FOR UPDATE SKIP LOCKED)
UPDATE tasks SET state = 'ready', held_by = NULL FROM first WHERE tasks.task = first.task
