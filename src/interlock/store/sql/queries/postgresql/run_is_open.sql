-- Primary key.
SELECT 1 FROM runs WHERE run = :run AND ended_at IS NULL
