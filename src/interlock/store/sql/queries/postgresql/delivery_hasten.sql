-- Primary key (the state is compared so that no plan takes an index of what is pending): somebody asks for what is being tried anyway.
UPDATE deliveries SET due_at = :now WHERE delivery = :delivery AND coalesce(state, '') = 'pending' AND waiting = 0 AND node IS NULL
