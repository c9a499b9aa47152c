-- Index of the unique (run, cause_id). `runs`: a JSON list.
DELETE FROM inbox
WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
  AND (run, number) IN (SELECT run, number FROM inbox WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) LIMIT :limit)
