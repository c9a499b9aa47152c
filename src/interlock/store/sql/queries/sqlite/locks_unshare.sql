-- Once an hour, the free locks; their shares by the index leases_targeted. A lock that nobody shares any more is a free one.
UPDATE leases SET place = ''
WHERE kind = 'lock' AND expires_at = 0 AND place = 'shared'
  AND NOT EXISTS (SELECT 1 FROM leases AS s WHERE s.target = leases.name AND s.kind = 'share')
