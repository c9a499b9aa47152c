-- Primary key.
SELECT state FROM tasks WHERE task = :task
