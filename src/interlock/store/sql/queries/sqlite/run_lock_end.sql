-- Primary key. Who adds a delivery and the commit that ends the run: the second sees what the first did.
SELECT ended_at, namespace FROM runs WHERE run = :run
