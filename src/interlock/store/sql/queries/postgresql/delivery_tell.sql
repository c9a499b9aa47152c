-- Primary key (the state is compared so that no plan takes an index of what is pending). The run has ended, and nobody was told.
UPDATE deliveries SET waiting = 0, due_at = :now WHERE delivery = :delivery AND coalesce(state, '') = 'pending' AND waiting = 1
