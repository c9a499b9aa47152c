-- Unique (id, namespace): a range over the ids that begin with the prefix; two rows are enough to see it is ambiguous.
SELECT run, namespace, id, workflow, version, definition, status, partial, epoch, seq, owner, folder, created_at,
       started_at, ended_at, wake_at, output, fault, input, origin, shown
FROM runs WHERE id >= :id AND id < :id_end AND (:namespace IS NULL OR namespace = :namespace) LIMIT 2
