-- Index deliveries_claimed: what nodes that are gone were at.
UPDATE deliveries SET node = NULL, due_at = least(due_at, :now), fence = fence + 1
WHERE state = 'pending' AND node IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM leases WHERE kind = 'node' AND name = deliveries.node)
