-- Primary key.
INSERT INTO meta (name, value) VALUES ('sealed', :proof) ON CONFLICT (name) DO UPDATE SET value = excluded.value
