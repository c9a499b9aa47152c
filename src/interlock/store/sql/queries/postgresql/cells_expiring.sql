-- Index cells_expiring.
SELECT 1 FROM cells WHERE expires_at <= coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) LIMIT 1
