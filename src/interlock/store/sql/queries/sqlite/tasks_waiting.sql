-- Index tasks_ready, then what each of them asks for. `skills`, `types`: JSON lists; `types` NULL: any.
SELECT task, priority, coalesce(ready_at, created_at), needs FROM tasks
WHERE pool = :pool AND state = 'ready' AND (needs IS NULL OR (
  (json_extract(needs, '$.region') IS NULL OR json_extract(needs, '$.region') = :region)
  AND (json_extract(needs, '$.type') IS NULL OR :types IS NULL
       OR json_extract(needs, '$.type') IN (SELECT value FROM json_each(:types)))
  AND coalesce(json_extract(needs, '$.cpu'), 0) <= :cpu AND coalesce(json_extract(needs, '$.memory'), 0) <= :memory
  AND NOT EXISTS (SELECT 1 FROM json_each(needs, '$.skills') AS skill
                  WHERE skill.value NOT IN (SELECT value FROM json_each(:skills)))))
ORDER BY priority DESC, rank, task LIMIT :limit
