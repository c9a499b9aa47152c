-- Primary key.
UPDATE tasks SET cancel = 1 WHERE task = :task AND state = 'running' AND cancel = 0
