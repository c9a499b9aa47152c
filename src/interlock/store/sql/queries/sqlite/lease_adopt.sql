-- Primary key. Zero rows: the attempt has ended, or another node was first.
UPDATE leases SET holder = :node, expires_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) + :ttl
WHERE kind = :kind AND name = :name AND holder = :holder AND fence = :fence
