-- Primary key.
SELECT number, body FROM events
WHERE number > :number ORDER BY number LIMIT :limit
