-- Primary key, prefix. `runs`: a JSON list.
SELECT run, scope, body FROM scopes WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
ORDER BY run, scope
