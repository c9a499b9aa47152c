-- Unique (run, effect), prefix.
DELETE FROM tasks WHERE run = :run AND task IN (SELECT task FROM tasks WHERE run = :run LIMIT :limit)
