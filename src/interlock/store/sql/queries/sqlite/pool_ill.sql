INSERT INTO pool_ills (pool, node, reason, since, again_at) VALUES (:pool, :node, :reason, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0), :again_at)
ON CONFLICT (pool, node) DO UPDATE SET reason = excluded.reason, again_at = excluded.again_at
