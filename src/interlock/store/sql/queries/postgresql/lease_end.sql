-- Primary key.
DELETE FROM leases WHERE kind = :kind AND name = :name
