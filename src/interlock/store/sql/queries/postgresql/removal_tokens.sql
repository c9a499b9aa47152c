-- Index tokens_of_run. `runs`: a JSON list.
DELETE FROM tokens
WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
  AND (run, token) IN (SELECT run, token FROM tokens WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) LIMIT :limit)
