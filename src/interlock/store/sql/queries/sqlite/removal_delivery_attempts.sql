-- Index delivery_attempts_of_run. `runs`: a JSON list.
DELETE FROM delivery_attempts
WHERE run IN (SELECT value FROM json_each(:runs))
  AND (delivery, number) IN (SELECT delivery, number FROM delivery_attempts WHERE run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
