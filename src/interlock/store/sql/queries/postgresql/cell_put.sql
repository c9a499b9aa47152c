-- Primary key. Sets a value that may be set whatever was there (no `base`), or where there is none (a base of 0). No rows: refused.
-- The version is above every one that the key ever had: numbers of changes are not given out twice.
INSERT INTO cells AS c (namespace, space, key, value, version, stamp, writer, nonce, deleted, expires_at, changed_at, writing)
SELECT :namespace::text, :space::text, :key::text, :value::bytea, nextval('cell_change_numbers'), coalesce(:stamp::bigint, floor(n.now * 1e6)::bigint), :writer::text, :nonce::text, 0, n.now + :ttl::float8, n.now, pg_current_xact_id()
FROM (SELECT coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) AS now) AS n
WHERE :stamp::bigint IS NULL OR :stamp::bigint <= (n.now + :ahead::float8) * 1e6
ON CONFLICT (namespace, space, key) DO UPDATE
SET value = excluded.value,
    version = greatest(c.version + 1 + coalesce(c.expires_at <= excluded.changed_at, false)::int, excluded.version),
    stamp = CASE WHEN :stamp::bigint IS NULL THEN greatest(excluded.stamp, c.stamp + 1) ELSE excluded.stamp END,
    writer = excluded.writer, nonce = excluded.nonce, deleted = 0, expires_at = excluded.expires_at, changed_at = excluded.changed_at,
    writing = greatest(excluded.writing, c.writing)
WHERE (:base::bigint IS NULL OR c.deleted = 1 OR c.expires_at <= excluded.changed_at)
  AND (:stamp::bigint IS NULL OR (c.stamp, c.writer) <= (:stamp::bigint, :writer::text))
RETURNING value, version, stamp, writer, expires_at, changed_at, changed_at
