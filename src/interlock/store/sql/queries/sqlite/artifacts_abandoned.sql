-- Primary keys; reads every row of artifacts after `after`, once an hour: runs that are gone, whose files are not.
SELECT DISTINCT a.run FROM artifacts AS a
WHERE a.run > :after AND NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.run = a.run)
ORDER BY a.run LIMIT :limit
