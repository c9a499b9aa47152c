INSERT INTO task_limits (task, name) VALUES (:task, :name) ON CONFLICT (task, name) DO NOTHING
