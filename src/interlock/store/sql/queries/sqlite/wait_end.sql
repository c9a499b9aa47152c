-- Primary key.
UPDATE waits SET ended_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) WHERE graph = :graph AND token = :token AND ended_at IS NULL
