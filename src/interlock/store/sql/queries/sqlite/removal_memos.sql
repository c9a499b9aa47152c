-- Primary key, prefix. `runs`: a JSON list.
DELETE FROM memos
WHERE run IN (SELECT value FROM json_each(:runs))
  AND (run, number) IN (SELECT run, number FROM memos WHERE run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
