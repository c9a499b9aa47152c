-- Primary key.
SELECT number, value FROM cell_changes
WHERE number > :number::bigint ORDER BY number LIMIT :limit
