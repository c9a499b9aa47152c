-- Primary key. Under the rows of both workers (worker_lock). No rows: it was started, moved or has ended.
UPDATE leases SET holder = :to_session, fence = :to_fence, target = :worker, granted_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
WHERE kind = 'slot' AND name = :task AND holder = :session AND fence = :fence AND place = 'reserved'
RETURNING granted_at
