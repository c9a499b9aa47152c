-- Index leases_expiring.
SELECT name, holder FROM leases WHERE kind = :kind AND expires_at <= coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
