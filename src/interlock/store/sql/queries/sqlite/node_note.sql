-- Primary key.
UPDATE nodes SET refusals = :refusals, unready = :unready WHERE node = :node
