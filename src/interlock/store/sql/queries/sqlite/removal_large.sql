-- Primary key, prefix. `runs`: a JSON list.
DELETE FROM large_values
WHERE run IN (SELECT value FROM json_each(:runs))
  AND (run, digest, part) IN (SELECT run, digest, part FROM large_values WHERE run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
