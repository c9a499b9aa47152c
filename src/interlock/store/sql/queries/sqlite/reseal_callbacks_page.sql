-- Primary key.
SELECT delivery, namespace, run, sealed FROM deliveries WHERE delivery > :delivery ORDER BY delivery LIMIT :limit
