-- Primary key. A process that takes the place of another one under its id goes on with its record.
INSERT INTO workers (worker, session, state, host, pid, capacity, silent_seconds, capabilities, metadata, registered_at)
VALUES (:worker::text, :session::text, 'registered', :host::text, :pid::bigint, :capacity::bigint, :silent_seconds::float8, :capabilities::bytea,
        :metadata::bytea, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8))
ON CONFLICT (worker) DO UPDATE
SET session = excluded.session, state = excluded.state, host = excluded.host, pid = excluded.pid, capacity = excluded.capacity,
    silent_seconds = excluded.silent_seconds, capabilities = excluded.capabilities, metadata = excluded.metadata,
    registered_at = excluded.registered_at, ended_at = NULL
