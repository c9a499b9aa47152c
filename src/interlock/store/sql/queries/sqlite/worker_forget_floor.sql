-- Primary keys. No later worker of this id gets a fence that this one had.
INSERT INTO meta (name, value)
SELECT 'fence_floor', fence FROM leases WHERE kind = 'worker' AND name = :worker AND fence > (SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE meta.name = 'fence_floor')
ON CONFLICT (name) DO UPDATE SET value = excluded.value
