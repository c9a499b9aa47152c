-- Primary key, prefix.
SELECT part, parts, body FROM large_values WHERE run = :run AND digest = :digest ORDER BY part
