-- Primary key: those of a run after one of them.
SELECT run, task, attempt, name, path, media_type, size, digest, place, created_at
FROM artifacts
WHERE run = :run AND (run, task, attempt, name) > (:run, :task, :attempt, :name)
ORDER BY run, task, attempt, name LIMIT :limit
