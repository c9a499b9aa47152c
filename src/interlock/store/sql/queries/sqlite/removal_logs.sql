-- Index logs_of_run, then primary key. `runs`: a JSON list. Not by (run, number): SQLite 3.40 then looks for the number twice in
-- the index, which holds it once, and finds nothing.
DELETE FROM logs
WHERE number IN (SELECT number FROM logs WHERE run IN (SELECT value FROM json_each(:runs)) LIMIT :limit)
