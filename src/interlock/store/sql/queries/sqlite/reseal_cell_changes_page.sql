-- Primary key.
SELECT number, value FROM cell_changes
WHERE number > :number ORDER BY number LIMIT :limit
