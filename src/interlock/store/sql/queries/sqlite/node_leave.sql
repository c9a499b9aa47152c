UPDATE nodes SET left_at = :at WHERE node = :node AND left_at IS NULL
