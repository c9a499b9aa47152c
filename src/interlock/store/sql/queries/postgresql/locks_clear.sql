-- Index leases_expiring. Free ones end at 0.
UPDATE leases SET holder = '', place = '', expires_at = 0, ttl = NULL, granted_at = NULL, detail = NULL
WHERE kind = 'lock' AND expires_at > 0 AND expires_at <= coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) AND name >= :low AND name < :high
