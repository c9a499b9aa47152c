-- Primary key. Zero rows: it was moved, or its worker was given up.
UPDATE leases SET place = 'started' WHERE kind = 'slot' AND name = :task AND holder = :session AND fence = :fence
