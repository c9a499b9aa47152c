-- Primary key. Under the row of the worker (worker_lock). Zero rows: it was moved, or its worker was given up.
DELETE FROM leases WHERE kind = 'slot' AND name = :task::text AND holder = :session::text AND fence = :fence::bigint
