-- Primary key.
SELECT number, body FROM decisions
WHERE number > :number::bigint ORDER BY number LIMIT :limit
