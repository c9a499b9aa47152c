-- Index leases_targeted. The shares of a lock that are over, and those that are taken away (`fences`: a JSON list).
DELETE FROM leases
WHERE target = :key::text AND kind = 'share'
  AND (expires_at <= coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) OR fence = ANY (ARRAY(SELECT jsonb_array_elements_text(:fences::text::jsonb)::bigint)))
