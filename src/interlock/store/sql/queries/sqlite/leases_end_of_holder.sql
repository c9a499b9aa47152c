-- Index leases_held.
DELETE FROM leases WHERE holder = :holder AND kind = :kind RETURNING name, holder, fence
