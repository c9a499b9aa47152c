-- Primary key.
SELECT target FROM leases WHERE kind = 'slot' AND name = :task::text AND holder = :session::text AND fence = :fence::bigint
