-- Index deliveries_of_run. `runs`: a JSON list.
DELETE FROM deliveries
WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
  AND (delivery) IN (SELECT delivery FROM deliveries WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) LIMIT :limit)
