-- Whole table: one row per pool that a node cannot launch in.
SELECT pool, node, reason, since, again_at FROM pool_ills ORDER BY pool, node
