-- Index leases_expiring.
SELECT name, holder FROM leases WHERE kind = :kind AND expires_at <= coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
