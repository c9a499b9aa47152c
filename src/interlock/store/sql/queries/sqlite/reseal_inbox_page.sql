-- Primary key.
SELECT number, cause FROM inbox
WHERE number > :number ORDER BY number LIMIT :limit
