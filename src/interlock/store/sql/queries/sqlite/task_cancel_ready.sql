-- Unique (run, effect).
UPDATE tasks SET state = 'cancelled', ended_at = :at WHERE run = :run AND effect = :effect AND state = 'ready'
