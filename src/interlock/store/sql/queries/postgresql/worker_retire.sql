-- Primary key. Zero rows: it was gone before.
UPDATE workers SET state = :state::text, ended_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
WHERE worker = :worker::text AND session = :session::text AND state IN ('registered', 'draining')
