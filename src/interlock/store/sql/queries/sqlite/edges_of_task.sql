-- Index task_edges_of_task: what a task still waits for.
SELECT predecessor, blocking FROM task_edges WHERE task = :task ORDER BY predecessor
