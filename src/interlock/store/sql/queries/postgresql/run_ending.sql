-- Primary key.
SELECT run, namespace, id, workflow, version, status, output, fault, ended_at FROM runs WHERE run = :run
