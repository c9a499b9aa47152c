-- Primary key, prefix: as many as a run is searched by. `runs`: a JSON list.
DELETE FROM attributes
WHERE run IN (SELECT value FROM json_each(:runs))
  AND (run, name) IN (SELECT run, name FROM attributes WHERE run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
