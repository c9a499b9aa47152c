-- Primary key (the state is compared so that no plan takes an index of what is pending); fenced. Terminal states never change.
UPDATE deliveries
SET state = :state, due_at = :due_at, node = NULL, problem = :problem, ended_at = :ended_at
WHERE delivery = :delivery AND fence = :fence AND coalesce(state, '') = 'pending'
