-- Unique (run, effect): one that nobody performs, whatever it waits for.
UPDATE tasks SET state = 'cancelled', ended_at = :at, held_by = NULL
WHERE run = :run AND effect = :effect AND state IN ('ready', 'held', 'delayed')
