-- Primary key.
SELECT delivery, problem FROM deliveries
WHERE delivery > :delivery::text ORDER BY delivery LIMIT :limit
