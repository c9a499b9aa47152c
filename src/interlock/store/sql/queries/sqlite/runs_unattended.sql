-- Indexes runs_free and runs_owned: live runs that rest with nobody, or with a node whose lease is over, and for how many seconds. A
-- suspended run waits for a person, not for a node.
SELECT r.run, r.namespace, r.id, r.workflow, r.version, r.definition, r.status, r.partial, r.epoch, r.seq, r.owner, r.folder, r.created_at,
       r.started_at, r.ended_at, r.wake_at, NULL, r.fault, NULL, r.origin, r.shown,
       coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) - coalesce(r.freed_at, r.created_at)
FROM runs AS r
WHERE r.owner IS NULL AND r.ended_at IS NULL AND r.status <> 'suspended'
UNION ALL
SELECT r.run, r.namespace, r.id, r.workflow, r.version, r.definition, r.status, r.partial, r.epoch, r.seq, r.owner, r.folder, r.created_at,
       r.started_at, r.ended_at, r.wake_at, NULL, r.fault, NULL, r.origin, r.shown,
       coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) - coalesce(l.expires_at - :ttl, n.left_at, r.created_at)
FROM runs AS r LEFT JOIN leases AS l ON l.kind = 'node' AND l.name = r.owner LEFT JOIN nodes AS n ON n.node = r.owner
WHERE r.owner IS NOT NULL AND r.ended_at IS NULL AND r.status <> 'suspended'
  AND (l.expires_at IS NULL OR l.expires_at <= coalesce(:now, (julianday('now') - 2440587.5) * 86400.0))
ORDER BY 1 DESC LIMIT :limit
