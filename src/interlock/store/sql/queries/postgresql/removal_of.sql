-- Primary key.
SELECT 1 FROM removals WHERE run = :run
