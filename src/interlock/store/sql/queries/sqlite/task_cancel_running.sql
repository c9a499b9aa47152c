-- Unique (run, effect).
UPDATE tasks SET cancel = 1 WHERE run = :run AND effect = :effect AND state = 'running'
