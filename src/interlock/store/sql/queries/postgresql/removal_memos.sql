-- Primary key, prefix. `runs`: a JSON list.
DELETE FROM memos
WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb)))
  AND (run, number) IN (SELECT run, number FROM memos WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) LIMIT :limit)
