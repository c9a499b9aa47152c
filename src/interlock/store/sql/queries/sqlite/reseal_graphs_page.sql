-- Primary key.
SELECT graph, document FROM graphs
WHERE graph > :graph ORDER BY graph LIMIT :limit
