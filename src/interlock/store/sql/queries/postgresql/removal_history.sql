-- Primary key, prefix. `runs`: a JSON list.
DELETE FROM history
WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
  AND (run, seq) IN (SELECT run, seq FROM history WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) LIMIT :limit)
