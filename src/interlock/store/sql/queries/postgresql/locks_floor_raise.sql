-- Once an hour, the free locks, by the index leases_expiring. A worker that is forgotten may have raised the floor meanwhile.
INSERT INTO meta (name, value)
SELECT 'fence_floor', max(fence)::text FROM leases
WHERE kind = 'lock' AND expires_at = 0 AND place <> 'shared' HAVING max(fence) > (SELECT coalesce(max(value::bigint), 0) FROM meta WHERE meta.name = 'fence_floor')
ON CONFLICT (name) DO UPDATE SET value = greatest(meta.value::bigint, excluded.value::bigint)::text
