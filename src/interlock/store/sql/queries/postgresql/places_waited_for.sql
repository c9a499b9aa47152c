-- Indexes waits_open and tasks_open: of each graph that a run waits for, a task that is held, for each limit that holds some.
SELECT w.graph, w.run, t.held_by, min(t.task)
FROM waits AS w JOIN tasks AS t ON t.run = w.graph AND t.state = 'held' AND t.lane IS NOT NULL
  AND t.state NOT IN ('done', 'failed', 'cancelled', 'skipped')
WHERE w.ended_at IS NULL GROUP BY w.graph, w.run, t.held_by ORDER BY w.graph, t.held_by
