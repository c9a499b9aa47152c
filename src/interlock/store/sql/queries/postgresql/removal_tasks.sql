-- Unique (run, effect), prefix; a task stays until its edges, its limits and its tries are gone, by which they are found. `runs`: a JSON list.
DELETE FROM tasks WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) AND task IN (
  SELECT task FROM tasks AS t WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
    AND NOT EXISTS (SELECT 1 FROM task_edges AS e WHERE e.predecessor = t.task)
    AND NOT EXISTS (SELECT 1 FROM task_limits AS l WHERE l.task = t.task)
    AND NOT EXISTS (SELECT 1 FROM attempts AS a WHERE a.task = t.task) LIMIT :limit)
