INSERT INTO attempts (task, fence, attempt, pool, holder, placed_at) VALUES (:task, :fence, :attempt, :pool, :holder, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8))
ON CONFLICT (task, fence) DO NOTHING
