-- Primary key. The namespace is the run's.
INSERT INTO attributes (run, name, namespace, value, number)
SELECT run, :name, namespace, :value, :number FROM runs WHERE run = :run
ON CONFLICT (run, name) DO UPDATE SET value = excluded.value, number = excluded.number
