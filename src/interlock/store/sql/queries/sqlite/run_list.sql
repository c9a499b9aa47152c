-- Primary key or runs_listed, descending: pages by key, never by offset.
SELECT run, namespace, id, workflow, version, definition, status, partial, epoch, seq, owner, folder, created_at,
       started_at, ended_at, wake_at, NULL, fault, NULL, origin, shown
FROM runs
WHERE (:before IS NULL OR run < :before) AND (:namespace IS NULL OR namespace = :namespace)
  AND (:status = '' OR instr(:status, ',' || status || ',') > 0) AND (:workflow IS NULL OR workflow = :workflow)
ORDER BY run DESC LIMIT :limit
