-- Index of the unique (run, cause_id). `runs`: a JSON list.
DELETE FROM inbox
WHERE run IN (SELECT value FROM json_each(:runs))
  AND (run, number) IN (SELECT run, number FROM inbox WHERE run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
