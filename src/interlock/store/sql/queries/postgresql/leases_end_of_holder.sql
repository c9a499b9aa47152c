-- Index leases_held; rows are locked in the order of their names. `place`: only those of that pool.
WITH held AS MATERIALIZED (
  SELECT kind, name FROM leases WHERE holder = :holder AND kind = :kind AND (:place::text IS NULL OR place = :place)
  ORDER BY name FOR UPDATE)
DELETE FROM leases USING held WHERE leases.kind = held.kind AND leases.name = held.name
RETURNING leases.name, leases.holder, leases.fence
