-- Index leases_held.
UPDATE leases SET expires_at = :expires_at WHERE holder = :holder AND kind = :kind
