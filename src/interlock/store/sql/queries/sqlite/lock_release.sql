-- Primary key. Zero rows: it is not that holder's, or is shared, or its time is over.
UPDATE leases SET holder = '', place = '', expires_at = 0, ttl = NULL, granted_at = NULL, detail = NULL
WHERE kind = 'lock' AND name = :key AND holder = :holder AND holder <> '' AND fence = :fence AND expires_at > coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
