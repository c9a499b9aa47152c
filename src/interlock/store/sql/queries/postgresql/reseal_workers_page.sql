-- Primary key.
SELECT worker, metadata FROM workers
WHERE worker > :worker::text ORDER BY worker LIMIT :limit
