-- Index tasks_ready: only tasks of runs that the node owns.
WITH picked AS MATERIALIZED (
  SELECT t.task FROM tasks AS t JOIN runs AS r ON r.run = t.run
  WHERE t.pool = :pool AND t.state = 'ready' AND r.owner = :node ORDER BY t.priority DESC, t.rank, t.task LIMIT :limit
  FOR UPDATE OF t SKIP LOCKED),
claimed AS (
  UPDATE tasks SET state = 'running', fence = fence + 1 FROM picked WHERE tasks.task = picked.task
  RETURNING tasks.task, tasks.run, tasks.effect, tasks.path, tasks.fence, tasks.target, tasks.folder,
            tasks.idempotency_key, tasks.attempt, tasks.any_exit_code, tasks.priority, tasks.linked, tasks.spec, tasks.pool)
SELECT c.task, c.run, c.effect, c.path, c.fence, c.target, c.folder, c.idempotency_key, c.attempt, c.any_exit_code,
       (SELECT namespace FROM runs AS r WHERE r.run = c.run), (SELECT id FROM runs AS r WHERE r.run = c.run),
       c.spec, c.pool, c.linked, c.priority
FROM claimed AS c ORDER BY c.priority DESC, c.task
