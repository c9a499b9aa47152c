-- Primary key.
DELETE FROM workers WHERE worker = :worker::text AND state IN ('offline', 'removed')
