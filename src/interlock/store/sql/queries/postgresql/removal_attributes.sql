-- Primary key, prefix: as many as a run is searched by. `runs`: a JSON list.
DELETE FROM attributes
WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
  AND (run, name) IN (SELECT run, name FROM attributes WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) LIMIT :limit)
