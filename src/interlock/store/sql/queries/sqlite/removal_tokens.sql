-- Index tokens_of_run. `runs`: a JSON list.
DELETE FROM tokens
WHERE run IN (SELECT value FROM json_each(:runs))
  AND (run, token) IN (SELECT run, token FROM tokens WHERE run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
