-- Primary key. As cell_put, many cells at once that may be set whatever was there. `writes`: a JSON list of [space, key, value, writer,
-- nonce, ttl], each cell once.
INSERT INTO cells AS c (namespace, space, key, value, version, stamp, writer, nonce, deleted, expires_at, changed_at, writing)
SELECT :namespace::text, w.value ->> 0, w.value ->> 1, convert_to(w.value ->> 2, 'UTF8'), nextval('cell_change_numbers'),
       floor(n.now * 1e6)::bigint, w.value ->> 3, w.value ->> 4, 0, n.now + (w.value ->> 5)::float8, n.now, pg_current_xact_id()
FROM (SELECT e.value FROM jsonb_array_elements(:writes::text::jsonb) WITH ORDINALITY AS e (value, place) ORDER BY e.place) AS w,
     (SELECT coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) AS now) AS n
ON CONFLICT (namespace, space, key) DO UPDATE
SET value = excluded.value,
    version = greatest(c.version + 1 + coalesce(c.expires_at <= excluded.changed_at, false)::int, excluded.version),
    stamp = greatest(excluded.stamp, c.stamp + 1),
    writer = excluded.writer, nonce = excluded.nonce, deleted = 0, expires_at = excluded.expires_at, changed_at = excluded.changed_at,
    writing = greatest(excluded.writing, c.writing)
RETURNING space, key, value, version, stamp, writer, expires_at, changed_at, changed_at
