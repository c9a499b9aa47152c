-- Primary key. Zero rows: it is gone.
UPDATE workers SET state = coalesce(:state::text, state), capacity = coalesce(:capacity::bigint, capacity)
WHERE worker = :worker::text AND session = :session::text AND state IN ('registered', 'draining')
