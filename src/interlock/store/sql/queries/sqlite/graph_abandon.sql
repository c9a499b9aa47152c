-- Primary key: the load was given up.
UPDATE graphs SET loading_until = NULL WHERE graph = :graph
