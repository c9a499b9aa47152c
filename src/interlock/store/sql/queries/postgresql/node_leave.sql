UPDATE nodes SET left_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) WHERE node = :node AND left_at IS NULL
