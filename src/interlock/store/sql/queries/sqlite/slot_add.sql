-- Primary key. No rows: the task has a holder. A slot does not expire: it ends with its worker.
INSERT INTO leases (kind, name, holder, fence, place, expires_at, granted_at, detail, target)
VALUES ('slot', :task, :session, :fence, 'reserved', 0, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0), :detail, :worker)
ON CONFLICT (kind, name) DO NOTHING
RETURNING granted_at
