-- Unique (namespace, id).
SELECT run, namespace, id, workflow, version, definition, status, partial, epoch, seq, owner, folder, created_at,
       started_at, ended_at, wake_at, output, fault, input, origin
FROM runs WHERE namespace = :namespace AND id = :id
