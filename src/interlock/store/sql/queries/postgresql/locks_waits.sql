-- Index leases_expiring for who waits, which are few; then by the primary key and the index leases_targeted: who waits for whom.
SELECT w.target, w.fence, w.place, w.granted_at, w.detail, o.kind, o.place, o.detail
FROM leases AS w JOIN leases AS o ON o.kind = 'lock' AND o.name = w.target AND o.holder <> '' AND o.expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
WHERE w.kind = 'wait' AND w.expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) AND w.name >= :low AND w.name < :high
UNION ALL
SELECT w.target, w.fence, w.place, w.granted_at, w.detail, o.kind, o.place, o.detail
FROM leases AS w JOIN leases AS o ON o.target = w.target AND o.expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8)
  AND (o.kind = 'share' OR (o.kind = 'wait' AND o.fence < w.fence))
WHERE w.kind = 'wait' AND w.expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) AND w.name >= :low AND w.name < :high
