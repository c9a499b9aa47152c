-- Primary key, prefix.
DELETE FROM task_edges WHERE predecessor = :predecessor RETURNING task, blocking
