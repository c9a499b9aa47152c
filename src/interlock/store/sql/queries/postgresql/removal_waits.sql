-- Primary key, by the graph. `runs`: a JSON list.
DELETE FROM waits WHERE graph = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
