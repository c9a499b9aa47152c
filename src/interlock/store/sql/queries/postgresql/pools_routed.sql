-- Index tasks_ready, one probe per pool of workers: tasks that were left to it and that none has claimed.
SELECT p.pool, count(*) FROM pools AS p JOIN tasks AS t ON t.pool = p.pool AND t.state = 'ready' WHERE p.type = 'worker' GROUP BY p.pool
