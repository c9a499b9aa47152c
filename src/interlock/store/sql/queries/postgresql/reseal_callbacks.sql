-- Primary key. No rows: somebody wrote meanwhile.
UPDATE deliveries SET sealed = :sealed::bytea WHERE delivery = :delivery::text AND sealed = :was_sealed::bytea
