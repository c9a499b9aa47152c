-- Primary key, and the index run_keys_of_run.
WITH gone AS (DELETE FROM runs WHERE run = :run RETURNING run)
DELETE FROM run_keys USING gone WHERE run_keys.run = gone.run
