-- Index deliveries_of_run. `runs`: a JSON list.
DELETE FROM deliveries
WHERE run IN (SELECT value FROM json_each(:runs))
  AND (delivery) IN (SELECT delivery FROM deliveries WHERE run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
