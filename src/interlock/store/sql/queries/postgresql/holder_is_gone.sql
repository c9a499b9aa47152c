-- Primary keys. A row: the holder is a worker that was given up, or that nobody has heard of for too long. One that deregistered
-- left its locks behind; what its process takes after that is its own.
SELECT 1 FROM workers WHERE worker = :holder::text AND state <> 'removed'
  AND NOT EXISTS (SELECT 1 FROM leases AS l WHERE l.kind = 'worker' AND l.name = :holder::text AND l.expires_at >= coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8))
