-- Primary key, prefix.
SELECT l.task, l.name FROM json_each(:tasks) AS t JOIN task_limits AS l ON l.task = t.value ORDER BY l.task, l.name
