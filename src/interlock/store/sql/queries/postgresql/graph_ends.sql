-- Unique (run, effect), prefix, then the primary key of attempts.
SELECT t.effect, t.path, t.state, t.spec, a.outcome, a.detail
FROM tasks AS t LEFT JOIN attempts AS a ON a.task = t.task AND a.fence = t.fence
WHERE t.run = :graph AND t.lane IS NOT NULL AND t.effect > :after ORDER BY t.effect LIMIT :limit
