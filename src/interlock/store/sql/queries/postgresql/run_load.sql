-- Primary key.
SELECT run, namespace, id, definition, folder, epoch, seq, status, input, head, output, fault, parent, parent_effect
FROM runs WHERE run = :run
