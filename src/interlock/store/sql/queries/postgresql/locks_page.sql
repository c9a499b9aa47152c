-- Primary key, two ranges: grants by the names of their locks. `low`, `high`: the bounds of a namespace.
SELECT lock, holder, fence, mode, expires_at, ttl, granted_at, detail FROM (
  SELECT name AS lock, holder, fence, place AS mode, expires_at, ttl, granted_at, detail
  FROM leases WHERE kind = 'lock' AND name >= :low AND name < :high AND holder <> ''
  UNION ALL
  SELECT target, holder, fence, place, expires_at, ttl, granted_at, detail
  FROM leases WHERE kind = 'share' AND name >= :low AND name < :high) AS grants
WHERE (lock, fence) > (:after::text, :after_fence::bigint) AND (:holder::text IS NULL OR holder = :holder)
  AND (:expired::int = 1 OR expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8))
ORDER BY lock, fence LIMIT :limit
