-- Primary key, a range. `low`, `high`: the bounds of a prefix.
SELECT c.key, c.value, c.version, c.stamp, c.writer, c.expires_at, c.changed_at, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
FROM cells AS c
WHERE c.namespace = :namespace::text AND c.space = :space::text AND c.key >= :low::text AND c.key < :high::text AND c.key > :after::text
  AND c.deleted = 0 AND (c.expires_at IS NULL OR c.expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8))
ORDER BY c.key LIMIT :limit
