-- Primary key. No rows: the task has a holder. A slot does not expire: it ends with its worker.
INSERT INTO leases (kind, name, holder, fence, place, expires_at, granted_at, detail, target)
VALUES ('slot', :task::text, :session::text, :fence::bigint, 'reserved', 0, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), :detail::bytea, :worker::text)
ON CONFLICT (kind, name) DO NOTHING
RETURNING granted_at
