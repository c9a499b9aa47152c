UPDATE nodes SET left_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) WHERE node = :node AND left_at IS NULL
