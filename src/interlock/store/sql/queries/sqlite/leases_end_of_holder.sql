-- Index leases_held. `place`: only those of that pool.
DELETE FROM leases WHERE holder = :holder AND kind = :kind AND (:place IS NULL OR place = :place) RETURNING name, holder, fence
