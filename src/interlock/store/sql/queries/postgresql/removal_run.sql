-- Primary key, and the index run_keys_of_run. `runs`: a JSON list.
WITH gone AS (
  DELETE FROM runs WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
    AND EXISTS (SELECT 1 FROM removals WHERE removals.run = runs.run) RETURNING run)
DELETE FROM run_keys USING gone WHERE run_keys.run = gone.run
