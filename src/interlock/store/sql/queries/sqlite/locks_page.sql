-- Primary key, two ranges: grants by the names of their locks. `low`, `high`: the bounds of a namespace.
SELECT lock, holder, fence, mode, expires_at, ttl, granted_at, detail FROM (
  SELECT name AS lock, holder, fence, place AS mode, expires_at, ttl, granted_at, detail
  FROM leases WHERE kind = 'lock' AND name >= :low AND name < :high AND holder <> ''
  UNION ALL
  SELECT target, holder, fence, place, expires_at, ttl, granted_at, detail
  FROM leases WHERE kind = 'share' AND name >= :low AND name < :high) AS grants
WHERE (lock, fence) > (:after, :after_fence) AND (:holder IS NULL OR holder = :holder) AND (:expired = 1 OR expires_at > coalesce(:now, (julianday('now') - 2440587.5) * 86400.0))
ORDER BY lock, fence LIMIT :limit
