-- Primary key. One row, with the time, also where there is no cell.
SELECT c.value, c.version, c.stamp, c.writer, c.expires_at, c.changed_at, n.now
FROM (SELECT coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) AS now) AS n
LEFT JOIN cells AS c ON c.namespace = :namespace::text AND c.space = :space::text AND c.key = :key::text
