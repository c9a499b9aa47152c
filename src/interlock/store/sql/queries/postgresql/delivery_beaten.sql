-- Primary key (the state is compared so that no plan takes an index of what is pending); fenced. The run may have ended since: then it is due, and stays so.
UPDATE deliveries
SET due_at = CASE waiting WHEN 1 THEN :due_at::float8 ELSE due_at END, node = NULL, problem = :problem
WHERE delivery = :delivery AND fence = :fence AND coalesce(state, '') = 'pending'
