-- Index leases_held, then the primary key: as many steps as the node runs attempts.
SELECT t.task, t.run, t.effect, t.path, t.fence, t.target, t.folder, t.idempotency_key, t.attempt, t.any_exit_code,
       coalesce(r.namespace, g.namespace), r.id, t.spec, t.pool, l.devices, l.cpu, l.memory
FROM leases AS l JOIN tasks AS t ON t.task = l.name LEFT JOIN runs AS r ON r.run = t.run
LEFT JOIN graphs AS g ON g.graph = t.run
WHERE l.holder = :node AND l.kind = 'attempt' AND l.place = :pool AND t.state = 'running' AND t.fence = l.fence
ORDER BY t.task
