-- Primary key of leases: attempts whose holder has no lease of its own any more.
SELECT t.task, t.run, t.effect, t.path, t.fence, t.target, t.folder, t.idempotency_key, t.attempt, t.any_exit_code,
       coalesce(r.namespace, g.namespace), r.id, t.spec, t.pool, a.devices, a.holder, n.host, a.place, r.owner
FROM leases AS a JOIN tasks AS t ON t.task = a.name LEFT JOIN runs AS r ON r.run = t.run
LEFT JOIN graphs AS g ON g.graph = t.run LEFT JOIN nodes AS n ON n.node = a.holder
WHERE a.kind = 'attempt' AND t.state = 'running'
  AND NOT EXISTS (SELECT 1 FROM leases AS h WHERE h.kind = 'node' AND h.name = a.holder)
LIMIT :limit
