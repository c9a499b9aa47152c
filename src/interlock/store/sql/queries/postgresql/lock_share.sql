-- Primary key. Under the row of the lock (lock_guard): its next fence is that of the share.
UPDATE leases SET holder = '', fence = fence + 1, place = 'shared', expires_at = 0, ttl = NULL, granted_at = NULL, detail = NULL
WHERE kind = 'lock' AND name = :key::text
RETURNING fence
