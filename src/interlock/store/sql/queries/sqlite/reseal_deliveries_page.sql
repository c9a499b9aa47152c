-- Primary key.
SELECT delivery, problem FROM deliveries
WHERE delivery > :delivery ORDER BY delivery LIMIT :limit
