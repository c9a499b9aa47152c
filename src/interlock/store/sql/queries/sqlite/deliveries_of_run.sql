-- Index deliveries_of_run.
SELECT delivery, run, namespace, kind, target, receiver, identity, state, waiting, attempts, due_at, deadline, beat_seconds, node, fence, problem, created_at, ended_at
FROM deliveries WHERE run = :run ORDER BY delivery
