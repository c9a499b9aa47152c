-- Primary key. Under the row of the worker (worker_lock).
UPDATE workers SET assigned = assigned + 1, assigned_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) WHERE worker = :worker::text
