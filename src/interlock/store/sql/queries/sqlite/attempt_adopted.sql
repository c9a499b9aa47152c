-- Primary key. A row: the attempt goes on, under another holder.
SELECT 1 FROM leases WHERE kind = 'attempt' AND name = :task AND fence = :fence AND holder <> :node
