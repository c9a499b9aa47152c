-- Primary key. As cell_put, many cells at once that may be set whatever was there. `writes`: a JSON list of [space, key, value, writer,
-- nonce, ttl], each cell once.
INSERT INTO cells (namespace, space, key, value, version, stamp, writer, nonce, deleted, expires_at, changed_at)
SELECT :namespace, json_extract(w.value, '$[0]'), json_extract(w.value, '$[1]'), CAST(json_extract(w.value, '$[2]') AS BLOB),
       coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'cell_changes'), 0) + 1, CAST(n.now * 1e6 AS INTEGER),
       json_extract(w.value, '$[3]'), json_extract(w.value, '$[4]'), 0, n.now + json_extract(w.value, '$[5]'), n.now
FROM json_each(:writes) AS w, (SELECT coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) AS now) AS n
WHERE 1 ORDER BY w.key
ON CONFLICT (namespace, space, key) DO UPDATE
SET value = excluded.value,
    version = max(cells.version + 1 + coalesce(cells.expires_at <= excluded.changed_at, 0), excluded.version),
    stamp = max(excluded.stamp, cells.stamp + 1),
    writer = excluded.writer, nonce = excluded.nonce, deleted = 0, expires_at = excluded.expires_at, changed_at = excluded.changed_at
RETURNING space, key, value, version, stamp, writer, expires_at, changed_at, changed_at
