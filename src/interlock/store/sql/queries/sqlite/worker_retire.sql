-- Primary key. Zero rows: it was gone before.
UPDATE workers SET state = :state, ended_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
WHERE worker = :worker AND session = :session AND state IN ('registered', 'draining')
