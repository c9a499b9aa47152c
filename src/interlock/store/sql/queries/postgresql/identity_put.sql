-- Primary key.
INSERT INTO meta (name, value) VALUES ('identity', :identity) ON CONFLICT (name) DO NOTHING
