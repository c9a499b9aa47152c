-- Index delivery_attempts_of_run. `runs`: a JSON list.
DELETE FROM delivery_attempts
WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
  AND (delivery, number) IN (SELECT delivery, number FROM delivery_attempts WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) LIMIT :limit)
