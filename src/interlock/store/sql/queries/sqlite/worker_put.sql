-- Primary key. A process that takes the place of another one under its id goes on with its record.
INSERT INTO workers (worker, session, state, host, pid, capacity, silent_seconds, capabilities, metadata, registered_at)
VALUES (:worker, :session, 'registered', :host, :pid, :capacity, :silent_seconds, :capabilities,
        :metadata, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0))
ON CONFLICT (worker) DO UPDATE
SET session = excluded.session, state = excluded.state, host = excluded.host, pid = excluded.pid, capacity = excluded.capacity,
    silent_seconds = excluded.silent_seconds, capabilities = excluded.capabilities, metadata = excluded.metadata,
    registered_at = excluded.registered_at, ended_at = NULL
