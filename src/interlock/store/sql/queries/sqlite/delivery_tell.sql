-- Primary key. The run has ended, and nobody was told.
UPDATE deliveries SET waiting = 0, due_at = :now WHERE delivery = :delivery AND state = 'pending' AND waiting = 1
