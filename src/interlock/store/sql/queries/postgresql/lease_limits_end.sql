-- Index lease_limits_of_task.
DELETE FROM lease_limits WHERE task = :task RETURNING name
