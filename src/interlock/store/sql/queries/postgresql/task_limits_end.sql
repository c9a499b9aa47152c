-- Primary key, prefix: what a task counted against before its author changed it.
DELETE FROM task_limits WHERE task = :task
