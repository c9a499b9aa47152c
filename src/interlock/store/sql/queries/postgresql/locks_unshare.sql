-- Once an hour, the free locks; their shares by the index leases_targeted. A lock that nobody shares any more is a free one. By its
-- fence, which grows with each share: one that is granted meanwhile, and that this statement does not see, leaves the lock alone.
UPDATE leases SET place = ''
FROM (SELECT l.name, l.fence FROM leases AS l
      WHERE l.kind = 'lock' AND l.expires_at = 0 AND l.place = 'shared'
        AND NOT EXISTS (SELECT 1 FROM leases AS s WHERE s.target = l.name AND s.kind = 'share')) AS f
WHERE leases.kind = 'lock' AND leases.name = f.name AND leases.fence = f.fence
