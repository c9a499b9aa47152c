-- Primary key.
SELECT run, namespace, id, definition, folder, epoch, seq, status, input, head, output, fault
FROM runs WHERE run = :run
