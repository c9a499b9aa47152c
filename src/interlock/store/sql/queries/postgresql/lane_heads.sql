-- Index tasks_ready, from which some versions need nothing more: the first tasks of each lane. No pool has the name of a lane, so
-- all are of graphs.
SELECT w.lane, t.task, t.priority, t.rank FROM json_array_elements_text(:lanes::text::json) AS w (lane) CROSS JOIN LATERAL (
  SELECT h.task, h.priority, h.rank FROM tasks AS h WHERE h.pool = w.lane AND h.state = 'ready'
  ORDER BY h.priority DESC, h.rank, h.task LIMIT :limit
) AS t ORDER BY w.lane, t.priority DESC, t.rank, t.task
