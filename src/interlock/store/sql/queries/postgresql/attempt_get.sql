-- Primary keys. Zero rows: the attempt has ended, or was given up.
SELECT t.task, t.run, t.path, t.pool, l.fence, t.attempt, t.cancel, l.detail, r.namespace, r.id
FROM leases AS l JOIN tasks AS t ON t.task = l.name LEFT JOIN runs AS r ON r.run = t.run
WHERE l.kind = 'attempt' AND l.name = :task AND l.fence = :fence
