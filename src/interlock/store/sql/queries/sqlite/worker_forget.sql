-- Primary key.
DELETE FROM workers WHERE worker = :worker AND state IN ('offline', 'removed')
