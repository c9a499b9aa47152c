-- Primary key.
SELECT graph, document FROM graphs
WHERE graph > :graph::text ORDER BY graph LIMIT :limit
