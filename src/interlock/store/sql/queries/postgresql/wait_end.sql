-- Primary key.
UPDATE waits SET ended_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) WHERE graph = :graph AND token = :token AND ended_at IS NULL
