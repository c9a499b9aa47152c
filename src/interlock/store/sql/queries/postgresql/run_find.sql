-- Primary key of run_keys, then of runs.
SELECT r.run, r.namespace, r.id, r.workflow, r.version, r.definition, r.status, r.partial, r.epoch, r.seq, r.owner, r.folder,
       r.created_at, r.started_at, r.ended_at, r.wake_at, r.output, r.fault, r.input, r.origin, r.shown
FROM run_keys AS k JOIN runs AS r ON r.run = k.run
WHERE k.id = :id AND (:namespace::text IS NULL OR k.namespace = :namespace) LIMIT 2
