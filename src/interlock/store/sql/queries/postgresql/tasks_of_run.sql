-- Unique (run, effect), prefix.
SELECT t.task, t.run, t.effect, t.path, t.pool, t.state, t.attempt, l.holder
FROM tasks AS t LEFT JOIN leases AS l ON l.kind = 'attempt' AND l.name = t.task
WHERE t.run = :run ORDER BY t.effect
