-- Primary key (the state is compared so that no plan takes an index of what is pending). Who sends it at this moment loses it: its fence is over.
UPDATE deliveries SET state = 'superseded', ended_at = :at, fence = fence + 1, node = NULL, problem = :problem
WHERE delivery = :delivery AND coalesce(state, '') = 'pending'
