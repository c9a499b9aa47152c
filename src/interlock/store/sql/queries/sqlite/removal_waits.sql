-- Primary key, by the graph. `runs`: a JSON list.
DELETE FROM waits WHERE graph IN (SELECT value FROM json_each(:runs))
