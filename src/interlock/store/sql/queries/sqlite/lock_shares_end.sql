-- Index leases_targeted. The shares of a lock that are over, and those that are taken away (`fences`: a JSON list).
DELETE FROM leases WHERE target = :key AND kind = 'share' AND (expires_at <= coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) OR fence IN (SELECT value FROM json_each(:fences)))
