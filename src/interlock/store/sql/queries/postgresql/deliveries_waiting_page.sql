-- Index deliveries_waiting.
SELECT delivery, run FROM deliveries WHERE state = 'pending' AND waiting = 1 AND delivery > :after ORDER BY delivery LIMIT :limit
