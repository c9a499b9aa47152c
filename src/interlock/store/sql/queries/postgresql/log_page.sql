-- Primary key, prefix. Only what was written below the oldest open transaction: a row with a smaller number may still come.
SELECT number, path, attempt, at, stream, text FROM logs
WHERE run = :run AND number > :after AND (:path::text IS NULL OR path = :path)
  AND writer < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY number LIMIT :limit
