-- Primary key. Changes a cell that has the version `base`, or deletes one that has a value (no `value`). No rows: refused. A value
-- whose time is over has ended as one version more.
UPDATE cells
SET value = :value,
    version = max(version + 1 + coalesce(expires_at <= n.now, 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'cell_changes'), 0) + 1),
    stamp = coalesce(:stamp, max(CAST(n.now * 1e6 AS INTEGER), stamp + 1)),
    writer = :writer, nonce = :nonce, deleted = (:value IS NULL), expires_at = n.now + :ttl, changed_at = n.now
FROM (SELECT coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) AS now) AS n
WHERE namespace = :namespace AND space = :space AND key = :key
  AND (:base IS NULL OR version + coalesce(expires_at <= n.now, 0) = :base)
  AND (:value IS NOT NULL OR (deleted = 0 AND coalesce(expires_at > n.now, 1)))
  AND (:stamp IS NULL OR (:stamp <= (n.now + :ahead) * 1e6 AND (stamp < :stamp OR (stamp = :stamp AND writer <= :writer))))
RETURNING value, version, stamp, writer, expires_at, changed_at, changed_at
