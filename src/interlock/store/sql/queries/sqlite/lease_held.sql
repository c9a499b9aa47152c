-- Primary key.
SELECT 1 FROM leases WHERE kind = :kind AND name = :name AND holder = :holder
