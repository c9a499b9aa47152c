-- Primary key. Zero rows: the attempt has ended, or another node was first.
UPDATE leases SET holder = :node, expires_at = :expires_at
WHERE kind = :kind AND name = :name AND holder = :holder AND fence = :fence
