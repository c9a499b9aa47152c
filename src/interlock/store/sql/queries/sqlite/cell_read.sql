-- Primary key. One row, with the time, also where there is no cell.
SELECT c.value, c.version, c.stamp, c.writer, c.expires_at, c.changed_at, n.now
FROM (SELECT coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) AS now) AS n
LEFT JOIN cells AS c ON c.namespace = :namespace AND c.space = :space AND c.key = :key
