-- Index nodes_left: nodes that left long ago and that no row names any more.
DELETE FROM nodes
WHERE left_at < :before AND NOT EXISTS (SELECT 1 FROM runs WHERE owner = nodes.node AND ended_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM leases WHERE holder = nodes.node AND kind = 'attempt')
