-- Unique (run, effect), prefix.
SELECT t.task, t.run, t.effect, t.path, t.pool, t.state, t.fence, t.attempt, t.priority, t.rank, t.created_at, t.ready_at, t.ended_at,
       t.held_by, t.cancel, t.used, t.spec, l.holder
FROM tasks AS t LEFT JOIN leases AS l ON l.kind = 'attempt' AND l.name = t.task
WHERE t.run = :graph AND t.effect > :after AND (:state IS NULL OR t.state = :state) ORDER BY t.effect LIMIT :limit
