-- Primary key. Under the rows of both workers (worker_lock). No rows: it was started, moved or has ended.
UPDATE leases SET holder = :to_session::text, fence = :to_fence::bigint, target = :worker::text, granted_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
WHERE kind = 'slot' AND name = :task::text AND holder = :session::text AND fence = :fence::bigint AND place = 'reserved'
RETURNING granted_at
