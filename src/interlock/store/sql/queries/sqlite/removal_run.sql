-- Primary key. `runs`: a JSON list.
DELETE FROM runs WHERE run IN (SELECT value FROM json_each(:runs)) AND run IN (SELECT run FROM removals)
