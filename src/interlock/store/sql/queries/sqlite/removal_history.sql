-- Primary key, prefix. `runs`: a JSON list.
DELETE FROM history
WHERE run IN (SELECT value FROM json_each(:runs))
  AND (run, seq) IN (SELECT run, seq FROM history WHERE run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
