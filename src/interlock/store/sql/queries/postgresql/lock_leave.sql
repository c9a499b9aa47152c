-- Primary key.
DELETE FROM leases WHERE kind = 'wait' AND name = :name::text AND fence = :ticket::bigint
