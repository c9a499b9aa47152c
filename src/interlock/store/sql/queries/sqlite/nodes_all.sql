-- Every row, which is few: nodes that left are deleted after a day.
SELECT n.node, n.host, n.boot, n.pid, n.started, n.roles, n.version, n.joined_at, n.pinned,
       l.expires_at - coalesce(:now, (julianday('now') - 2440587.5) * 86400.0),
       n.left_at, n.drain_at, n.refusals, n.unready,
       (SELECT count(*) FROM runs WHERE runs.owner = n.node AND runs.ended_at IS NULL),
       (SELECT count(*) FROM leases AS a WHERE a.holder = n.node AND a.kind = 'attempt')
FROM nodes AS n LEFT JOIN leases AS l ON l.kind = 'node' AND l.name = n.node
ORDER BY n.joined_at, n.node
