-- Index leases_targeted.
SELECT name, target, holder, fence, place, granted_at, detail FROM leases WHERE target = :worker::text AND kind = 'slot' ORDER BY name
