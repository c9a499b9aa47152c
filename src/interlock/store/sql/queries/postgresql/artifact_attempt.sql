-- Primary keys. Zero rows: the attempt has ended, or was given up. The lease stays as it is until the file is on record.
SELECT t.run, t.path, t.attempt
FROM leases AS l JOIN tasks AS t ON t.task = l.name
WHERE l.kind = 'attempt' AND l.name = :task AND l.fence = :fence FOR UPDATE OF l
