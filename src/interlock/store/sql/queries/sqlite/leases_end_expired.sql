-- Index leases_expiring. Each lease is ended by one sweeper only.
DELETE FROM leases WHERE kind = :kind AND expires_at <= coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) RETURNING name, holder, fence
