-- Index tasks_open, then task_edges_of_task, then the primary key: those of a graph that wait, and for whom.
SELECT t.task, e.predecessor, p.task IS NOT NULL FROM tasks AS t
JOIN task_edges AS e ON e.task = t.task LEFT JOIN tasks AS p ON p.task = e.predecessor
WHERE t.run = :graph AND t.lane IS NOT NULL AND t.state = 'blocked'
  AND t.state NOT IN ('done', 'failed', 'cancelled', 'skipped') ORDER BY t.effect, e.predecessor
