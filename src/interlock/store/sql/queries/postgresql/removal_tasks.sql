-- Unique (run, effect), prefix; a task stays until its edges and its limits are gone, by which they are found.
DELETE FROM tasks WHERE run = :run AND task IN (
  SELECT task FROM tasks AS t WHERE run = :run
    AND NOT EXISTS (SELECT 1 FROM task_edges AS e WHERE e.predecessor = t.task)
    AND NOT EXISTS (SELECT 1 FROM task_limits AS l WHERE l.task = t.task) LIMIT :limit)
