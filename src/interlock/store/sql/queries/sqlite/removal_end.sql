-- Primary key. `runs`: a JSON list.
DELETE FROM removals WHERE run IN (SELECT value FROM json_each(:runs))
