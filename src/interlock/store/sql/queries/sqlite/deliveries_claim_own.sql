-- Index deliveries_due, then the primary key of runs: those of the runs that a node owns, or owned when they ended. A heartbeat is no attempt. `until`: when others may take it, should this node be gone by then.
UPDATE deliveries
SET node = :node, fence = fence + 1, due_at = :until,
    attempts = attempts + CASE WHEN waiting = 0 OR deadline <= :now THEN 1 ELSE 0 END
WHERE delivery IN (
  SELECT d.delivery FROM deliveries AS d JOIN runs AS r ON r.run = d.run
  WHERE d.state = 'pending' AND d.due_at <= :now AND r.owner = :node ORDER BY d.due_at LIMIT :limit)
RETURNING delivery, run, namespace, kind, target, sealed, waiting, attempts, deadline, beat_seconds, fence, created_at
