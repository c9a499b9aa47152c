-- Primary key.
SELECT pool, settings FROM pools
WHERE pool > :pool::text ORDER BY pool LIMIT :limit
