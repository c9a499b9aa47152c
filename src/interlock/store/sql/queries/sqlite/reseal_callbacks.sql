-- Primary key. No rows: somebody wrote meanwhile.
UPDATE deliveries SET sealed = :sealed WHERE delivery = :delivery AND sealed = :was_sealed
