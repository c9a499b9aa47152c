-- Primary key. Zero rows: it was moved, or its worker was given up.
UPDATE leases SET place = 'started' WHERE kind = 'slot' AND name = :task::text AND holder = :session::text AND fence = :fence::bigint
