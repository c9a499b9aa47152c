-- Primary key.
INSERT INTO meta (name, value) VALUES ('cells_floor', '0.' || coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'cell_changes'), 0))
ON CONFLICT (name) DO UPDATE SET value = excluded.value
