-- Primary key. `runs`: a JSON list.
DELETE FROM removals WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
