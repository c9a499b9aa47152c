-- Index tasks_ready, then what each of them asks for. `skills`, `types`: JSON lists; `types` NULL: any.
SELECT task, priority, coalesce(ready_at, created_at), needs FROM tasks
WHERE pool = :pool AND state = 'ready' AND (needs IS NULL OR (
  (needs::jsonb ->> 'region' IS NULL OR needs::jsonb ->> 'region' = :region::text)
  AND (needs::jsonb ->> 'type' IS NULL OR :types::text IS NULL OR :types::text::jsonb @> to_jsonb(needs::jsonb ->> 'type'))
  AND coalesce((needs::jsonb ->> 'cpu')::float8, 0) <= :cpu::float8
  AND coalesce((needs::jsonb ->> 'memory')::float8, 0) <= :memory::float8
  AND coalesce(needs::jsonb -> 'skills', '[]'::jsonb) <@ :skills::text::jsonb))
ORDER BY priority DESC, rank, task LIMIT :limit
