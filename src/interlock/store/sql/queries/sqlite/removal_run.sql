-- Primary key.
DELETE FROM runs WHERE run = :run
