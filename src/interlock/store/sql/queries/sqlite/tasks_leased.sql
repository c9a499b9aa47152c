-- Index leases_held, then the primary key: as many steps as the node runs attempts.
SELECT t.task, t.fence, t.cancel FROM tasks AS t JOIN leases AS l ON l.kind = 'attempt' AND l.name = t.task
WHERE t.state = 'running' AND l.holder = :node
