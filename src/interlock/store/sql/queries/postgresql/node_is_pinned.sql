-- Primary key.
SELECT pinned FROM nodes WHERE node = :node
