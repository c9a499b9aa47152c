-- Primary key: somebody asks for what is being tried anyway.
UPDATE deliveries SET due_at = :now WHERE delivery = :delivery AND state = 'pending' AND waiting = 0 AND node IS NULL
