-- Index leases_expiring: `alive` selects those whose lease is still running, or those whose lease ran out.
SELECT n.node, n.host, n.boot, n.pid, n.started, n.roles, n.version, n.joined_at, n.pinned
FROM leases AS l JOIN nodes AS n ON n.node = l.name
WHERE l.kind = 'node'
  AND (l.expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)) = (:alive::int = 1)
ORDER BY n.joined_at
