-- Primary key.
SELECT task, target, spec FROM tasks
WHERE task > :task::text ORDER BY task LIMIT :limit
