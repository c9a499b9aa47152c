-- Index waits_of_run. The graphs that removed runs have loaded go with them. `runs`: a JSON list.
INSERT INTO removals (run)
SELECT graph FROM waits WHERE run = ANY (ARRAY(SELECT jsonb_array_elements_text(:runs::text::jsonb))) AND run IN (SELECT run FROM removals)
ON CONFLICT (run) DO NOTHING
