-- Indexes runs_free, runs_owned and runs_unsuccessful: runs that have not completed, whatever the number of those that have.
SELECT run, namespace, id, workflow, version, definition, status, partial, epoch, seq, owner, folder, created_at,
       started_at, ended_at, wake_at, NULL, fault, NULL, origin, shown
FROM (
  SELECT run, namespace, id, workflow, version, definition, status, partial, epoch, seq, owner, folder, created_at,
         started_at, ended_at, wake_at, fault, origin, shown
  FROM runs WHERE run < coalesce(:before::text, '~') AND owner IS NULL AND ended_at IS NULL
  UNION ALL
  SELECT run, namespace, id, workflow, version, definition, status, partial, epoch, seq, owner, folder, created_at,
         started_at, ended_at, wake_at, fault, origin, shown
  FROM runs WHERE run < coalesce(:before::text, '~') AND owner IS NOT NULL AND ended_at IS NULL
  UNION ALL
  SELECT run, namespace, id, workflow, version, definition, status, partial, epoch, seq, owner, folder, created_at,
         started_at, ended_at, wake_at, fault, origin, shown
  FROM runs WHERE run < coalesce(:before::text, '~') AND status IN ('faulted', 'cancelled') AND ended_at IS NOT NULL
) AS found
WHERE (:namespace::text IS NULL OR namespace = :namespace)
  AND strpos(:status, ',' || status || ',') > 0 AND (:workflow::text IS NULL OR workflow = :workflow)
ORDER BY run DESC LIMIT :limit
