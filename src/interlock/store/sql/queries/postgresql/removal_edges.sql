-- Unique (run, effect) of tasks, prefix, then the primary key, prefix. The other end of an edge is a task of the same graph. `runs`: a JSON list.
DELETE FROM task_edges WHERE (predecessor, task) IN (
  SELECT e.predecessor, e.task FROM tasks AS t JOIN task_edges AS e ON e.predecessor = t.task
  WHERE t.run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) LIMIT :limit)
