INSERT INTO task_edges (predecessor, task, blocking) VALUES (:predecessor, :task, :blocking)
ON CONFLICT (predecessor, task) DO NOTHING
