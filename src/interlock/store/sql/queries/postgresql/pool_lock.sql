-- Primary key: holds the pool's limit until the transaction ends, so that the count of occupied slots is a guard.
INSERT INTO limits (name) VALUES ('pool:' || :pool::text) ON CONFLICT (name) DO UPDATE SET name = excluded.name
