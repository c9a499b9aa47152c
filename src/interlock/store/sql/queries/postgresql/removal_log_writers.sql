-- Primary key, prefix: as many as nodes wrote output of the run.
DELETE FROM log_writers WHERE run = :run AND writer IN (SELECT writer FROM log_writers WHERE run = :run LIMIT :limit)
