-- Index leases_expiring. Free ones end at 0.
UPDATE leases SET holder = '', place = '', expires_at = 0, ttl = NULL, granted_at = NULL, detail = NULL
WHERE kind = 'lock' AND expires_at > 0 AND expires_at <= coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) AND name >= :low AND name < :high
