-- Index leases_expiring: `alive` selects those whose lease is still running, or those whose lease ran out.
SELECT n.node, n.host, n.boot, n.pid, n.started, n.roles, n.version, n.joined_at, n.pinned
FROM leases AS l JOIN nodes AS n ON n.node = l.name
WHERE l.kind = 'node' AND (l.expires_at > coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)) = :alive ORDER BY n.joined_at
