-- Primary key.
SELECT delivery, namespace, run, sealed FROM deliveries WHERE delivery > :delivery::text ORDER BY delivery LIMIT :limit
