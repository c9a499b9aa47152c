-- Primary keys: the places of a limit, and who has them.
SELECT l.capacity, o.task FROM limits AS l JOIN lease_limits AS o ON o.name = l.name
WHERE l.name = :name AND l.capacity IS NOT NULL ORDER BY o.task
