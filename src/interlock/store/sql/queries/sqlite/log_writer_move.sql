-- Primary key.
UPDATE log_writers SET last = :last WHERE run = :run AND writer = :writer
