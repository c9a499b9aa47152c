-- Primary key. `runs`: a JSON list.
SELECT run, ended_at FROM runs WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
