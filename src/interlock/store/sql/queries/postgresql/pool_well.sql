-- Primary key.
DELETE FROM pool_ills WHERE pool = :pool AND node = :node
