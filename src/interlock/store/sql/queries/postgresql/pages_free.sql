-- The server gives space back by itself (autovacuum), and a dropped week at once.
SELECT 0
