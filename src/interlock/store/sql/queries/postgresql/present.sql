-- What is the present to leases: the store's clock, unless a test says otherwise.
SELECT coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
