-- Primary key, descending: pages by key, never by offset; partitions are read newest first. No key begins with ~.
SELECT run, namespace, id, workflow, version, definition, status, partial, epoch, seq, owner, folder, created_at,
       started_at, ended_at, wake_at, NULL, fault, NULL, origin, shown
FROM runs
WHERE run < coalesce(:before::text, '~') AND (:namespace::text IS NULL OR namespace = :namespace)
  AND (:status::text = '' OR strpos(:status, ',' || status || ',') > 0)
  AND (:workflow::text IS NULL OR workflow = :workflow)
ORDER BY run DESC LIMIT :limit
