-- Index leases_expiring. `kind`: share or wait.
DELETE FROM leases WHERE kind = :kind AND expires_at <= coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) AND name >= :low AND name < :high
