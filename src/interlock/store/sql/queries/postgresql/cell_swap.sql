-- Primary key. Changes a cell that has the version `base`, or deletes one that has a value (no `value`). No rows: refused. A value
-- whose time is over has ended as one version more.
UPDATE cells AS c
SET value = :value::bytea,
    version = greatest(c.version + 1 + coalesce(c.expires_at <= n.now, false)::int, nextval('cell_change_numbers')),
    stamp = coalesce(:stamp::bigint, greatest(floor(n.now * 1e6)::bigint, c.stamp + 1)),
    writer = :writer::text, nonce = :nonce::text, deleted = (:value::bytea IS NULL)::int, expires_at = n.now + :ttl::float8, changed_at = n.now,
    writing = greatest(pg_current_xact_id(), c.writing)
FROM (SELECT coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) AS now) AS n
WHERE c.namespace = :namespace::text AND c.space = :space::text AND c.key = :key::text
  AND (:base::bigint IS NULL OR c.version + coalesce(c.expires_at <= n.now, false)::int = :base::bigint)
  AND (:value::bytea IS NOT NULL OR (c.deleted = 0 AND coalesce(c.expires_at > n.now, true)))
  AND (:stamp::bigint IS NULL OR (:stamp::bigint <= (n.now + :ahead::float8) * 1e6 AND (c.stamp, c.writer) <= (:stamp::bigint, :writer::text)))
RETURNING c.value, c.version, c.stamp, c.writer, c.expires_at, c.changed_at, c.changed_at
