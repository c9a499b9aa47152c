-- Index deliveries_due.
SELECT due_at FROM deliveries WHERE state = 'pending' ORDER BY due_at LIMIT 1
