-- Primary key, or all with :node NULL: those that serve the runs of others, whose lease is still there.
UPDATE nodes SET drain_at = :at
WHERE (node = :node OR :node::text IS NULL) AND pinned = 0 AND left_at IS NULL AND drain_at IS NULL
  AND EXISTS (SELECT 1 FROM leases WHERE kind = 'node' AND name = nodes.node)
