-- Primary key. A worker's life, which nobody else changes until the end of the transaction.
SELECT holder, expires_at, coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) FROM leases WHERE kind = 'worker' AND name = :worker::text FOR UPDATE
