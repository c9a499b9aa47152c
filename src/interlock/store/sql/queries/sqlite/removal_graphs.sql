-- Index waits_of_run, then the primary key: what is to be removed is not found any more. `runs`: a JSON list.
DELETE FROM graphs WHERE graph IN (
  SELECT graph FROM waits WHERE run IN (SELECT value FROM json_each(:runs)) AND run IN (SELECT run FROM removals))
