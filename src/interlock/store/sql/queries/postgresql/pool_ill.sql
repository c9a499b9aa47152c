INSERT INTO pool_ills (pool, node, reason, since, again_at) VALUES (:pool, :node, :reason, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), :again_at)
ON CONFLICT (pool, node) DO UPDATE SET reason = excluded.reason, again_at = excluded.again_at
