-- Index runs_of_tasks: open runs that tasks of graphs started, whose tasks are over.
SELECT r.run, r.parent FROM runs AS r JOIN tasks AS t ON t.task = r.parent
WHERE r.parent IS NOT NULL AND r.parent_effect IS NULL AND r.ended_at IS NULL AND r.run > :after
  AND t.state IN ('cancelled', 'failed', 'skipped')
ORDER BY r.run LIMIT :limit
