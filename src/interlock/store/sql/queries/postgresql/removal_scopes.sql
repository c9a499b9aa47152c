-- Primary key, prefix. `runs`: a JSON list.
DELETE FROM scopes
WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
  AND (run, scope) IN (SELECT run, scope FROM scopes WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) LIMIT :limit)
