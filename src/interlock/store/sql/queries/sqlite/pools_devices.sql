-- Index leases_placed, one probe per pool that has devices.
SELECT p.pool, l.devices
FROM pools AS p JOIN leases AS l ON l.place = p.pool AND l.place <> '' AND l.kind = 'attempt'
WHERE p.gpus > 0 AND l.devices IS NOT NULL
