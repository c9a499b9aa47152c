-- Index tasks_held, one probe per name: the limits that tasks are held by, after a name, and the places each has left.
WITH RECURSIVE waited (name, place) AS (
  (SELECT held_by, 1::bigint FROM tasks WHERE state = 'held' AND held_by > :after::text ORDER BY held_by LIMIT 1)
  UNION ALL
  SELECT (SELECT t.held_by FROM tasks AS t WHERE t.state = 'held' AND t.held_by > w.name ORDER BY t.held_by LIMIT 1),
         w.place + 1
  FROM waited AS w WHERE w.name IS NOT NULL AND w.place < :limit::bigint)
SELECT w.name, coalesce(l.capacity - (SELECT count(*) FROM lease_limits AS o WHERE o.name = w.name), 1)
FROM waited AS w JOIN limits AS l ON l.name = w.name
WHERE w.name IS NOT NULL ORDER BY w.name
