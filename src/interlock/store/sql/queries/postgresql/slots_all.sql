-- Primary key.
SELECT name, target, holder, fence, place, granted_at, detail FROM leases WHERE kind = 'slot' ORDER BY name
