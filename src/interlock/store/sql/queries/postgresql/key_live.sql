-- Index api_keys_live.
SELECT id FROM api_keys WHERE revoked_at IS NULL AND coalesce(expires_at, 1e300) > :now ORDER BY id LIMIT 1
