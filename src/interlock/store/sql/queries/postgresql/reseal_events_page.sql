-- Primary key.
SELECT number, body FROM events
WHERE number > :number::bigint ORDER BY number LIMIT :limit
