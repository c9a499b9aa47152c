-- Index leases_expiring. `kind`: share or wait.
DELETE FROM leases WHERE kind = :kind AND expires_at <= coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) AND name >= :low AND name < :high
