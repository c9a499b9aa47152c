INSERT INTO worker_events (at, worker, kind, detail) VALUES (coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), :worker::text, :kind::text, :detail::bytea)
