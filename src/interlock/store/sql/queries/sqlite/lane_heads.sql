-- Index tasks_ready, from which some versions need nothing more: the first tasks of each lane, then those by their primary key.
-- No pool has the name of a lane, so all are of graphs.
SELECT t.pool, t.task, t.priority, t.rank FROM json_each(:lanes) AS w JOIN tasks AS t ON t.task IN (
  SELECT h.task FROM tasks AS h WHERE h.pool = w.value AND h.state = 'ready'
  ORDER BY h.priority DESC, h.rank, h.task LIMIT :limit
) ORDER BY t.pool, t.priority DESC, t.rank, t.task
