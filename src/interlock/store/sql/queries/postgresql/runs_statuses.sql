-- Primary key. `runs`: a JSON list.
SELECT run, status FROM runs WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
