-- Primary key.
SELECT namespace, id FROM runs WHERE run = :run
