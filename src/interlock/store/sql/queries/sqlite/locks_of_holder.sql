-- Index leases_held. What a holder has, also what is over.
SELECT kind, name, fence, expires_at, ttl, target, coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) FROM leases WHERE holder = :holder AND kind IN ('lock', 'share')
