-- Primary key.
DELETE FROM removals WHERE run = :run
