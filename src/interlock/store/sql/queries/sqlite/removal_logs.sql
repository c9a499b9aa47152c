-- Index logs_of_run. `runs`: a JSON list.
DELETE FROM logs
WHERE run IN (SELECT value FROM json_each(:runs))
  AND (run, number) IN (SELECT run, number FROM logs WHERE run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
