-- Primary key, a range. `low`, `high`: the bounds of a prefix.
SELECT key, value, version, stamp, writer, expires_at, changed_at, n.now
FROM (SELECT coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) AS now) AS n, cells
WHERE namespace = :namespace AND space = :space AND key >= :low AND key < :high AND key > :after
  AND deleted = 0 AND (expires_at IS NULL OR expires_at > n.now)
ORDER BY key LIMIT :limit
