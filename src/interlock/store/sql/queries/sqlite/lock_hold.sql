-- Primary key. Keeps a lock as it is until the end of the transaction, for what is written under it.
SELECT 1 FROM leases WHERE kind = 'lock' AND name = :key
