-- Primary key; fenced. Terminal states never change.
UPDATE deliveries
SET state = :state, due_at = :due_at, node = NULL, problem = :problem, ended_at = :ended_at
WHERE delivery = :delivery AND fence = :fence AND state = 'pending'
