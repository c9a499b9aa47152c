-- Primary key.
DELETE FROM leases WHERE kind = 'wait' AND name = :name AND fence = :ticket
