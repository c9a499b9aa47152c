-- Index logs_of_run.
SELECT number, path, attempt, at, stream, text FROM logs
WHERE run = :run AND number > :after AND (:path IS NULL OR path = :path) ORDER BY number LIMIT :limit
