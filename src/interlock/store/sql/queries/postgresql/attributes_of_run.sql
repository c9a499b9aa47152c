-- Primary key, prefix.
SELECT name, value FROM attributes WHERE run = :run ORDER BY name
