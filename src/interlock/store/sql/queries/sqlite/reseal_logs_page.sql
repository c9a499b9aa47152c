-- Primary key.
SELECT run, number, text FROM logs
WHERE number > :number ORDER BY number LIMIT :limit
