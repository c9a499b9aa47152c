-- Primary keys. Zero rows: the attempt has ended, or was given up.
SELECT t.run, t.path, t.attempt
FROM leases AS l JOIN tasks AS t ON t.task = l.name
WHERE l.kind = 'attempt' AND l.name = :task AND l.fence = :fence
