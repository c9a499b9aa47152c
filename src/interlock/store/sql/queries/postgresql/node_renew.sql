-- Primary key, then index leases_held: the lease of a node, and after it, in the same statement, those of its attempts. No rows:
-- somebody ended the node's.
WITH alive AS (
  UPDATE leases SET expires_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + :node_ttl::float8
  WHERE kind = 'node' AND name = :node AND holder = :node RETURNING kind),
attempts AS (
  UPDATE leases SET expires_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + :attempt_ttl::float8
  WHERE holder = :node AND kind = 'attempt' AND EXISTS (SELECT 1 FROM alive))
SELECT kind FROM alive
