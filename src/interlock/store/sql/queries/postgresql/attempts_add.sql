-- A row for each place of the arrays.
INSERT INTO attempts (task, fence, attempt, pool, holder, placed_at)
SELECT g.task, g.fence, g.attempt, g.pool, :holder::text, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
FROM unnest(:task::text[], :fence::bigint[], :attempt::bigint[], :pool::text[]) AS g (task, fence, attempt, pool)
ON CONFLICT (task, fence) DO NOTHING
