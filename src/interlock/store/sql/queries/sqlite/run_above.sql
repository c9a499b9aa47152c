-- Primary keys: the run that awaits this one, or the task of a graph that it is the attempt of, and the run that waits for that
-- graph.
SELECT CASE WHEN r.parent_effect IS NULL THEN NULL ELSE r.parent END, t.task, w.run
FROM runs AS r LEFT JOIN tasks AS t ON t.task = r.parent AND r.parent_effect IS NULL AND t.lane IS NOT NULL
LEFT JOIN waits AS w ON w.graph = t.run AND w.ended_at IS NULL
WHERE r.run = :run
