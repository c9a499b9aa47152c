-- Once an hour, the free locks. The floor is raised first and the rows go an hour later, when nobody is at work any more who
-- read the floor of before: so no fence is ever granted twice.
DELETE FROM leases WHERE kind = 'lock' AND expires_at = 0 AND place <> 'shared' AND fence <= (SELECT coalesce(max(value::bigint), 0) FROM meta WHERE meta.name = 'fence_floor')
