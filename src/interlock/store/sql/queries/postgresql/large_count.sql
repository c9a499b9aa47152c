-- Primary key, prefix.
SELECT count(*), coalesce(max(parts), -1) FROM large_values WHERE run = :run AND digest = :digest
