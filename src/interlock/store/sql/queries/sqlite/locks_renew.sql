-- Primary key. `held`: a JSON list of [kind, name, fence].
UPDATE leases SET expires_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) + ttl
WHERE expires_at > coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) AND ttl IS NOT NULL
  AND (kind, name, fence) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(:held))
RETURNING kind, name, fence
