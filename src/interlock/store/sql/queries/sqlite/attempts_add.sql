INSERT INTO attempts (task, fence, attempt, pool, holder, placed_at) VALUES (:task, :fence, :attempt, :pool, :holder, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0))
ON CONFLICT (task, fence) DO NOTHING
