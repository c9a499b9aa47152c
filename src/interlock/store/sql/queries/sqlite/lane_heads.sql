-- Index tasks_ready: the first tasks of each lane, then those by their numbers. No pool has the name of a lane, so all are of graphs.
SELECT t.pool, t.task, t.priority, t.rank FROM json_each(:lanes) AS w JOIN tasks AS t ON t.rowid IN (
  SELECT h.rowid FROM tasks AS h WHERE h.pool = w.value AND h.state = 'ready'
  ORDER BY h.priority DESC, h.rank, h.task LIMIT :limit
) ORDER BY t.pool, t.priority DESC, t.rank, t.task
