-- Primary key, prefix. `runs`: a JSON list.
DELETE FROM scopes
WHERE run IN (SELECT value FROM json_each(:runs))
  AND (run, scope) IN (SELECT run, scope FROM scopes WHERE run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
