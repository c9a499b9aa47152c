-- Primary key.
SELECT task, target FROM tasks
WHERE task > :task ORDER BY task LIMIT :limit
