-- Primary key.
SELECT task, target FROM tasks
WHERE task > :task::text ORDER BY task LIMIT :limit
