-- Primary key, prefix: as many as a run is searched by.
DELETE FROM attributes WHERE run = :run AND name IN (SELECT name FROM attributes WHERE run = :run LIMIT :limit)
