-- Index waits_of_run. The graphs that removed runs have loaded go with them. `runs`: a JSON list.
INSERT OR IGNORE INTO removals (run)
SELECT graph FROM waits WHERE run IN (SELECT value FROM json_each(:runs)) AND run IN (SELECT run FROM removals)
