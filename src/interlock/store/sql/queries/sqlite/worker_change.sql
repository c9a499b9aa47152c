-- Primary key. Zero rows: it is gone.
UPDATE workers SET state = coalesce(:state, state), capacity = coalesce(:capacity, capacity)
WHERE worker = :worker AND session = :session AND state IN ('registered', 'draining')
