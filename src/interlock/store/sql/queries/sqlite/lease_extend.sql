-- Primary key. Zero rows: somebody ended the lease.
UPDATE leases SET expires_at = :expires_at WHERE kind = :kind AND name = :name AND holder = :holder
