INSERT INTO worker_events (at, worker, kind, detail) VALUES (coalesce(:now, (julianday('now') - 2440587.5) * 86400.0), :worker, :kind, :detail)
