-- Primary key. `held`: a JSON list of [kind, name, fence].
UPDATE leases SET expires_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) + ttl
FROM (SELECT value ->> 0 AS kind, value ->> 1 AS name, (value ->> 2)::bigint AS fence
      FROM jsonb_array_elements(:held::text::jsonb) AS e (value) ORDER BY 1, 2) AS h
WHERE leases.kind = h.kind AND leases.name = h.name AND leases.fence = h.fence
  AND leases.expires_at > coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) AND leases.ttl IS NOT NULL
RETURNING leases.kind, leases.name, leases.fence
