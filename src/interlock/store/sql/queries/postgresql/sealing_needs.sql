-- Primary key: processes that do not know this migration refuse the store.
INSERT INTO meta (name, value) VALUES ('needs', :needs)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE meta.value < excluded.value
