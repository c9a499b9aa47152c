-- Primary key.
SELECT number, cause FROM inbox
WHERE number > :number::bigint ORDER BY number LIMIT :limit
