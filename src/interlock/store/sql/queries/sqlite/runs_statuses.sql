-- Primary key. `runs`: a JSON list.
SELECT run, status FROM runs WHERE run IN (SELECT value FROM json_each(:runs))
