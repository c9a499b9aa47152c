-- Primary key. Sets a value that may be set whatever was there (no `base`), or where there is none (a base of 0). No rows: refused.
-- The version is above every one that the key ever had: numbers of changes are not given out twice.
INSERT INTO cells (namespace, space, key, value, version, stamp, writer, nonce, deleted, expires_at, changed_at)
SELECT :namespace, :space, :key, :value, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'cell_changes'), 0) + 1, coalesce(:stamp, CAST(n.now * 1e6 AS INTEGER)), :writer, :nonce, 0, n.now + :ttl, n.now
FROM (SELECT coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) AS now) AS n
WHERE :stamp IS NULL OR :stamp <= (n.now + :ahead) * 1e6
ON CONFLICT (namespace, space, key) DO UPDATE
SET value = excluded.value,
    version = max(cells.version + 1 + coalesce(cells.expires_at <= excluded.changed_at, 0), excluded.version),
    stamp = CASE WHEN :stamp IS NULL THEN max(excluded.stamp, cells.stamp + 1) ELSE excluded.stamp END,
    writer = excluded.writer, nonce = excluded.nonce, deleted = 0, expires_at = excluded.expires_at, changed_at = excluded.changed_at
WHERE (:base IS NULL OR cells.deleted = 1 OR cells.expires_at <= excluded.changed_at)
  AND (:stamp IS NULL OR cells.stamp < :stamp OR (cells.stamp = :stamp AND cells.writer <= :writer))
RETURNING value, version, stamp, writer, expires_at, changed_at, changed_at
