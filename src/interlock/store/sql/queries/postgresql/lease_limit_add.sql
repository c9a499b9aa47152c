INSERT INTO lease_limits (name, task) VALUES (:name, :task) ON CONFLICT (name, task) DO NOTHING
