-- Primary key, backwards.
SELECT delivery, run, namespace, kind, target, receiver, identity, state, waiting, attempts, due_at, deadline, beat_seconds, node, fence, problem, created_at, ended_at
FROM deliveries
WHERE delivery < :before AND (:namespace IS NULL OR namespace = :namespace) AND (:state IS NULL OR state = :state)
ORDER BY delivery DESC LIMIT :limit
