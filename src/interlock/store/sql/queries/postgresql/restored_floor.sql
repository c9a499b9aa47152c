-- Whole table, once: fences that were granted since the backup stay behind the next ones.
INSERT INTO meta (name, value)
SELECT 'fence_floor', (coalesce(max(fence), 0) + (SELECT coalesce(max(value::bigint), 0) FROM meta WHERE meta.name = 'fence_floor') + :step::bigint)::text FROM leases
WHERE kind IN ('lock', 'worker')
ON CONFLICT (name) DO UPDATE SET value = excluded.value
