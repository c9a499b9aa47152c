-- Index leases_expiring.
SELECT name, holder FROM leases WHERE kind = :kind AND expires_at <= :now
