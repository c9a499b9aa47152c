-- Primary key.
SELECT number, body FROM decisions
WHERE number > :number ORDER BY number LIMIT :limit
