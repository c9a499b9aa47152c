-- Primary key.
SELECT run, input, head, output, fault, shown FROM runs
WHERE run > :run::text ORDER BY run LIMIT :limit
