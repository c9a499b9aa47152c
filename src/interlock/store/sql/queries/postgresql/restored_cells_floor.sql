-- Primary key.
INSERT INTO meta (name, value) VALUES ('cells_floor', pg_current_xact_id()::text || '.0')
ON CONFLICT (name) DO UPDATE SET value = excluded.value
