UPDATE nodes SET left_at = :at WHERE left_at IS NULL
