-- Index runs_owned, one step per owner: a node that was given up for dead while it accepted or claimed a run.
WITH RECURSIVE owners (owner) AS (
  (SELECT owner FROM runs WHERE owner IS NOT NULL AND ended_at IS NULL ORDER BY owner LIMIT 1)
  UNION ALL
  SELECT (SELECT runs.owner FROM runs WHERE runs.owner > owners.owner AND runs.ended_at IS NULL
          ORDER BY runs.owner LIMIT 1)
  FROM owners WHERE owners.owner IS NOT NULL)
SELECT owner FROM owners
WHERE owner IS NOT NULL AND NOT EXISTS (SELECT 1 FROM leases WHERE kind = 'node' AND name = owner)
