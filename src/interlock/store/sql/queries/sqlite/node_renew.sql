-- Index leases_held: the lease of a node, and with it those of its attempts. No rows: somebody ended the node's.
UPDATE leases SET expires_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0)
  + CASE kind WHEN 'node' THEN :node_ttl ELSE :attempt_ttl END
WHERE holder = :node AND kind IN ('node', 'attempt')
  AND EXISTS (SELECT 1 FROM leases AS h WHERE h.kind = 'node' AND h.name = :node AND h.holder = :node)
RETURNING kind
