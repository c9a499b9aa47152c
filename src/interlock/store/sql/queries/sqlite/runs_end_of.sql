-- Primary key. `runs`: a JSON list.
SELECT run, ended_at FROM runs WHERE run IN (SELECT value FROM json_each(:runs))
