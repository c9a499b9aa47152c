-- Unique (run, effect), prefix, then the primary key of attempts: how long the tasks of a graph took, when they succeeded.
SELECT t.path, avg(a.ended_at - coalesce(a.started_at, a.placed_at)) FROM tasks AS t JOIN attempts AS a ON a.task = t.task
WHERE t.run = :graph AND a.outcome = 'done' GROUP BY t.path
