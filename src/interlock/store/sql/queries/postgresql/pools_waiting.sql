-- Index tasks_ready, one search per pool: the pools with a task that is ready.
WITH RECURSIVE found (pool) AS (
  SELECT (SELECT min(pool) FROM tasks WHERE state = 'ready')
  UNION ALL
  SELECT (SELECT min(tasks.pool) FROM tasks WHERE tasks.state = 'ready' AND tasks.pool > found.pool) FROM found WHERE found.pool IS NOT NULL)
SELECT pool FROM found WHERE pool IS NOT NULL
