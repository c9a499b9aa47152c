-- Index task_edges_of_task.
DELETE FROM task_edges WHERE task = :task
