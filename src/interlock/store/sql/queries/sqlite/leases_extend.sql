-- Index leases_held.
UPDATE leases SET expires_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) + :ttl WHERE holder = :holder AND kind = :kind
