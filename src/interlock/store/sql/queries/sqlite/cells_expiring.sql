-- Index cells_expiring.
SELECT 1 FROM cells WHERE expires_at <= coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) LIMIT 1
