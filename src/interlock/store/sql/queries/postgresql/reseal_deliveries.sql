-- Primary key. No rows: somebody wrote meanwhile.
UPDATE deliveries SET problem = :problem::text
WHERE delivery = :delivery::text AND problem IS NOT DISTINCT FROM :was_problem::text
