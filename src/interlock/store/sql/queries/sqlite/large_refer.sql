-- Primary key, prefix.
UPDATE large_values SET referred = 1 WHERE run = :run AND digest = :digest AND referred = 0
