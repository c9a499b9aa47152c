-- Index leases_expiring: every node with a lease, whether it still runs, and whether there is more to recover than nodes: a run
-- whose owner has no lease (index runs_owned), an attempt whose holder has none, or one whose own lease ran out (leases_expiring).
SELECT n.node, n.host, n.boot, n.pid, n.started, n.roles, n.version, n.joined_at, n.pinned,
       l.expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8),
       EXISTS (
         WITH RECURSIVE owners (owner) AS (
           SELECT min(owner) FROM runs WHERE owner IS NOT NULL AND ended_at IS NULL
           UNION ALL
           SELECT (SELECT min(runs.owner) FROM runs WHERE runs.owner > owners.owner AND runs.ended_at IS NULL)
           FROM owners WHERE owners.owner IS NOT NULL)
         SELECT 1 FROM owners
         WHERE owner IS NOT NULL AND NOT EXISTS (SELECT 1 FROM leases WHERE kind = 'node' AND name = owner))
       OR EXISTS (
         SELECT 1 FROM leases AS a WHERE a.kind = 'attempt' AND (
           a.expires_at <= coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
           OR NOT EXISTS (SELECT 1 FROM leases AS h WHERE h.kind = 'node' AND h.name = a.holder)))
FROM leases AS l JOIN nodes AS n ON n.node = l.name
WHERE l.kind = 'node' ORDER BY n.joined_at
