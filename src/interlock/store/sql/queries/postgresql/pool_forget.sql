-- Primary key.
DELETE FROM pools WHERE pool = :pool
