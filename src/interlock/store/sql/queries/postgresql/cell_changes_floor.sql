-- Index cell_changes_at. Says, before old changes go, up to which place they are gone.
INSERT INTO meta (name, value)
SELECT 'cells_floor', d.writing::text || '.' || d.number FROM (
  SELECT writing, number FROM cell_changes WHERE at <= :before::float8 AND writing < pg_snapshot_xmin(pg_current_snapshot())
  ORDER BY writing DESC, number DESC LIMIT 1) AS d
ON CONFLICT (name) DO UPDATE SET value = excluded.value
WHERE (split_part(meta.value, '.', 1)::xid8, split_part(meta.value, '.', 2)::bigint) < (split_part(excluded.value, '.', 1)::xid8, split_part(excluded.value, '.', 2)::bigint)
