-- Primary key.
SELECT pool, settings FROM pools
WHERE pool > :pool ORDER BY pool LIMIT :limit
