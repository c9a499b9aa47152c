-- Index cell_changes_at. Says, before old changes go, up to which place they are gone.
INSERT INTO meta (name, value)
SELECT 'cells_floor', '0.' || max(number) FROM cell_changes WHERE at <= :before HAVING max(number) IS NOT NULL
ON CONFLICT (name) DO UPDATE SET value = excluded.value
WHERE CAST(substr(meta.value, 3) AS INTEGER) < CAST(substr(excluded.value, 3) AS INTEGER)
