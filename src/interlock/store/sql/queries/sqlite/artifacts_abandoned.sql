-- Primary keys; reads every row of artifacts after `after`, once an hour: runs and graphs that are gone, whose files are not.
SELECT DISTINCT a.run FROM artifacts AS a
WHERE a.run > :after AND NOT EXISTS (SELECT 1 FROM runs AS r WHERE r.run = a.run)
  AND NOT EXISTS (SELECT 1 FROM graphs AS g WHERE g.graph = a.run)
ORDER BY a.run LIMIT :limit
