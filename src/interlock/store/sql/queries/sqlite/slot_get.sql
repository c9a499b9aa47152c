-- Primary key.
SELECT target FROM leases WHERE kind = 'slot' AND name = :task AND holder = :session AND fence = :fence
