-- Index leases_held.
SELECT name FROM leases WHERE holder = :holder AND kind = :kind
