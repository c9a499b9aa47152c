-- Primary keys; what it holds by the index leases_held.
SELECT w.worker, w.session, w.state, w.host, w.pid, w.capacity,
       (SELECT count(*) FROM leases AS held WHERE held.holder = w.session AND held.kind IN ('slot', 'attempt')),
       w.capabilities, w.metadata, w.registered_at, w.ended_at, w.assigned, w.assigned_at, w.succeeded, w.failed, w.busy_seconds,
       w.failed_at, w.silent_seconds, l.holder, l.fence, l.detail, l.expires_at, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
FROM workers AS w LEFT JOIN leases AS l ON l.kind = 'worker' AND l.name = w.worker
WHERE w.worker = :worker::text
