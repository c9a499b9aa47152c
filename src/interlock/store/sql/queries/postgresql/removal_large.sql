-- Primary key, prefix. `runs`: a JSON list.
DELETE FROM large_values
WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
  AND (run, digest, part) IN (SELECT run, digest, part FROM large_values WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) LIMIT :limit)
