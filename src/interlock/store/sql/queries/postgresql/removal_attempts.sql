-- Unique (run, effect) of tasks, prefix, then the primary key, prefix. `runs`: a JSON list.
DELETE FROM attempts WHERE (task, fence) IN (
  SELECT a.task, a.fence FROM tasks AS t JOIN attempts AS a ON a.task = t.task
  WHERE t.run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) LIMIT :limit)
