-- Primary key.
SELECT drain_at FROM nodes WHERE node = :node
