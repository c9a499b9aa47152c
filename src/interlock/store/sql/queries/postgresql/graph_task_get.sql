-- Primary key.
SELECT t.task, t.run, t.effect, t.path, t.pool, t.state, t.fence, t.attempt, t.priority, t.rank, t.created_at, t.ready_at, t.ended_at,
       t.held_by, t.cancel, t.used, t.spec, l.holder
FROM tasks AS t LEFT JOIN leases AS l ON l.kind = 'attempt' AND l.name = t.task
WHERE t.task = :task AND t.lane IS NOT NULL
