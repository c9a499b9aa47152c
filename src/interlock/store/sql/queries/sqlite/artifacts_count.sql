-- Primary key, prefix.
SELECT count(*) FROM artifacts WHERE run = :run AND task = :task AND attempt = :attempt
