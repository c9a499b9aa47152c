-- Primary key, prefix.
DELETE FROM large_values
WHERE run = :run AND (digest, part) IN (SELECT digest, part FROM large_values WHERE run = :run LIMIT :limit)
