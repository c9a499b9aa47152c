-- Index leases_placed, one probe per pool: what live leases take of it, and how many of their tasks are of graphs.
SELECT p.pool, count(l.name), coalesce(sum(l.cpu), 0.0), coalesce(sum(l.memory), 0.0)
FROM pools AS p JOIN leases AS l ON l.place = p.pool AND l.place <> '' AND l.kind = 'attempt' GROUP BY p.pool
