-- Index tasks_ready, one probe per lane: the lanes that have ready tasks, after a name, each with its first task.
WITH RECURSIVE found (lane, place) AS (
  SELECT * FROM (SELECT pool, 1 FROM tasks WHERE state = 'ready' AND pool > :after ORDER BY pool LIMIT 1)
  UNION ALL
  SELECT (SELECT t.pool FROM tasks AS t WHERE t.state = 'ready' AND t.pool > f.lane ORDER BY t.pool LIMIT 1), f.place + 1
  FROM found AS f WHERE f.lane IS NOT NULL AND f.place < :limit)
SELECT lane FROM found WHERE lane IS NOT NULL
