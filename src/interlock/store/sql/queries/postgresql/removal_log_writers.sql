-- Primary key, prefix: as many as nodes wrote output of the run. `runs`: a JSON list.
DELETE FROM log_writers
WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
  AND (run, writer) IN (SELECT run, writer FROM log_writers WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) LIMIT :limit)
