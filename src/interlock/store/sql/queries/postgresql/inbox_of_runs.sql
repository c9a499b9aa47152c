-- Index of the unique (run, cause_id). `runs`: a JSON list.
SELECT number, run, cause FROM inbox WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
ORDER BY number
