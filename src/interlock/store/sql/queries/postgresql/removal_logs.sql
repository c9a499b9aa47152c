-- Index logs_of_run. `runs`: a JSON list.
DELETE FROM logs
WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
  AND (run, number) IN (SELECT run, number FROM logs WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) LIMIT :limit)
