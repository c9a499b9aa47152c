-- Primary key, prefix: as many as nodes wrote output of the run. `runs`: a JSON list.
DELETE FROM log_writers
WHERE run IN (SELECT value FROM json_each(:runs))
  AND (run, writer) IN (SELECT run, writer FROM log_writers WHERE run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
