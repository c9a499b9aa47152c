-- Primary key. Zero rows: the attempt has ended, or another node was first.
UPDATE leases SET holder = :node, expires_at = coalesce(:now::float8, extract(epoch FROM clock_timestamp())::float8) + :ttl
WHERE kind = :kind AND name = :name AND holder = :holder AND fence = :fence
