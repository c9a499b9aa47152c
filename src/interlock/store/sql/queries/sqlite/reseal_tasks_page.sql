-- Primary key.
SELECT task, target, spec FROM tasks
WHERE task > :task ORDER BY task LIMIT :limit
