-- Primary keys. No later worker of this id gets a fence that this one had. Another one may have raised the floor meanwhile.
INSERT INTO meta (name, value)
SELECT 'fence_floor', fence::text FROM leases WHERE kind = 'worker' AND name = :worker::text AND fence > (SELECT coalesce(max(value::bigint), 0) FROM meta WHERE meta.name = 'fence_floor')
ON CONFLICT (name) DO UPDATE SET value = greatest(meta.value::bigint, excluded.value::bigint)::text
