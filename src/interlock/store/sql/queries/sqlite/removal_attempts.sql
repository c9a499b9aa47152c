-- Unique (run, effect) of tasks, prefix, then the primary key, prefix. `runs`: a JSON list.
DELETE FROM attempts WHERE (task, fence) IN (
  SELECT a.task, a.fence FROM tasks AS t JOIN attempts AS a ON a.task = t.task
  WHERE t.run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
