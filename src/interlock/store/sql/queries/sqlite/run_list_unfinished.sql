-- Indexes runs_free, runs_owned and runs_unsuccessful: runs that have not completed, whatever the number of those that have.
-- `INDEXED BY`: the planner would go through the primary key, which gives the order and holds every completed run too.
SELECT run, namespace, id, workflow, version, definition, status, partial, epoch, seq, owner, folder, created_at,
       started_at, ended_at, wake_at, NULL, fault, NULL, origin, shown
FROM (
  SELECT run, namespace, id, workflow, version, definition, status, partial, epoch, seq, owner, folder, created_at,
         started_at, ended_at, wake_at, fault, origin, shown
  FROM runs WHERE (:before IS NULL OR run < :before) AND owner IS NULL AND ended_at IS NULL
  UNION ALL
  SELECT run, namespace, id, workflow, version, definition, status, partial, epoch, seq, owner, folder, created_at,
         started_at, ended_at, wake_at, fault, origin, shown
  FROM runs INDEXED BY runs_owned WHERE (:before IS NULL OR run < :before) AND owner IS NOT NULL AND ended_at IS NULL
  UNION ALL
  SELECT run, namespace, id, workflow, version, definition, status, partial, epoch, seq, owner, folder, created_at,
         started_at, ended_at, wake_at, fault, origin, shown
  FROM runs WHERE (:before IS NULL OR run < :before) AND status IN ('faulted', 'cancelled') AND ended_at IS NOT NULL
)
WHERE (:namespace IS NULL OR namespace = :namespace)
  AND instr(:status, ',' || status || ',') > 0 AND (:workflow IS NULL OR workflow = :workflow)
ORDER BY run DESC LIMIT :limit
