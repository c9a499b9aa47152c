-- Primary key. Under the row of the worker (worker_lock).
UPDATE workers SET assigned = assigned + 1, assigned_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) WHERE worker = :worker
