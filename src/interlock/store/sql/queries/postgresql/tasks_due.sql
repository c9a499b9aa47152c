-- Index tasks_delayed. What another one makes ready is left to it.
WITH due AS MATERIALIZED (
  SELECT task FROM tasks WHERE state = 'delayed' AND ready_at <= coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
  ORDER BY ready_at LIMIT :limit FOR UPDATE SKIP LOCKED)
UPDATE tasks SET state = 'ready' FROM due WHERE tasks.task = due.task
