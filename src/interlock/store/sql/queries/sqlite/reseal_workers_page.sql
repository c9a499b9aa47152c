-- Primary key.
SELECT worker, metadata FROM workers
WHERE worker > :worker ORDER BY worker LIMIT :limit
