-- Unique (run, effect) of tasks, prefix, then the primary key, prefix. `runs`: a JSON list.
DELETE FROM task_limits WHERE (task, name) IN (
  SELECT l.task, l.name FROM tasks AS t JOIN task_limits AS l ON l.task = t.task
  WHERE t.run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
