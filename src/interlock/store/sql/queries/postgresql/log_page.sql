-- Primary key, prefix. What has a smaller number was committed before, see log_lock.
SELECT number, path, attempt, at, stream, text FROM logs
WHERE run = :run AND number > :after AND (:path::text IS NULL OR path = :path) ORDER BY number LIMIT :limit
