-- Unique (run, effect), prefix; a task stays until its edges, its limits and its tries are gone, by which they are found. `runs`: a JSON list.
DELETE FROM tasks WHERE run IN (SELECT value FROM json_each(:runs)) AND task IN (
  SELECT task FROM tasks AS t WHERE run IN (SELECT value FROM json_each(:runs))
    AND NOT EXISTS (SELECT 1 FROM task_edges AS e WHERE e.predecessor = t.task)
    AND NOT EXISTS (SELECT 1 FROM task_limits AS l WHERE l.task = t.task)
    AND NOT EXISTS (SELECT 1 FROM attempts AS a WHERE a.task = t.task) LIMIT :limit)
