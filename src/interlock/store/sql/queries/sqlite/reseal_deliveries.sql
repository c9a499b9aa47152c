-- Primary key. No rows: somebody wrote meanwhile.
UPDATE deliveries SET problem = :problem
WHERE delivery = :delivery AND problem IS :was_problem
