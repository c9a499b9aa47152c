-- Primary key.
SELECT run, task, attempt, name, path, media_type, size, digest, place, created_at
FROM artifacts WHERE run = :run AND task = :task AND attempt = :attempt AND name = :name
