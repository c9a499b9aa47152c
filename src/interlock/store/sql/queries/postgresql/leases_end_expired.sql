-- Index leases_expiring. Each lease is ended by one sweeper only; rows are locked in the order of their names.
WITH expired AS MATERIALIZED (
  SELECT kind, name FROM leases
  WHERE kind = :kind AND expires_at <= coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
  ORDER BY name FOR UPDATE SKIP LOCKED)
DELETE FROM leases USING expired WHERE leases.kind = expired.kind AND leases.name = expired.name
RETURNING leases.name, leases.holder, leases.fence
