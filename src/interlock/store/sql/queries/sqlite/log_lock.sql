-- There is one writer at a time anyway.
SELECT 1 WHERE :run IS NOT NULL
