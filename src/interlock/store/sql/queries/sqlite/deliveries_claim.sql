-- Index deliveries_due. A heartbeat is no attempt. `until`: when others may take it, should this node be gone by then.
UPDATE deliveries
SET node = :node, fence = fence + 1, due_at = :until,
    attempts = attempts + CASE WHEN waiting = 0 OR deadline <= :now THEN 1 ELSE 0 END
WHERE delivery IN (SELECT delivery FROM deliveries WHERE state = 'pending' AND due_at <= :now ORDER BY due_at LIMIT :limit)
RETURNING delivery, run, namespace, kind, target, sealed, waiting, attempts, deadline, beat_seconds, fence, created_at
