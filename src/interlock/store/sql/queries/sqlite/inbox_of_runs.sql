-- Index of the unique (run, cause_id). `runs`: a JSON list.
SELECT number, run, cause FROM inbox WHERE run IN (SELECT value FROM json_each(:runs)) ORDER BY number
