-- Primary key. `runs`: a JSON list.
SELECT run, namespace, id, definition, folder, epoch, seq, status, input, head, output, fault, parent, parent_effect
FROM runs WHERE run IN (SELECT value FROM json_each(:runs))
