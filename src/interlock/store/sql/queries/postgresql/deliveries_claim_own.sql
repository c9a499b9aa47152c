-- Index deliveries_due, then the primary key of runs: those of the runs that a node owns, or owned when they ended. A heartbeat is no attempt. `until`: when others may take it, should this node be gone by then. What another
-- claim is taking is left to it.
WITH picked AS MATERIALIZED (
  SELECT delivery FROM deliveries WHERE state = 'pending' AND due_at <= :now
    AND (SELECT coalesce(r.owner, '') FROM runs AS r WHERE r.run = deliveries.run) = :node
  ORDER BY due_at LIMIT :limit
  FOR UPDATE SKIP LOCKED)
UPDATE deliveries AS d
SET node = :node, fence = fence + 1, due_at = :until,
    attempts = attempts + CASE WHEN waiting = 0 OR deadline <= :now THEN 1 ELSE 0 END
FROM picked WHERE d.delivery = picked.delivery
RETURNING d.delivery, d.run, d.namespace, d.kind, d.target, d.sealed, d.waiting, d.attempts, d.deadline, d.beat_seconds, d.fence, d.created_at
