-- Primary key. A run that is retried asks again for what it asked for before.
UPDATE tokens SET state = :state, effect = :effect, expires_at = :expires_at, created_at = :at, terms = :terms,
  heartbeat_seconds = :heartbeat_seconds, outcome = NULL, digest = NULL, completed_at = NULL, completed_by = NULL,
  heartbeat_at = NULL, detail = NULL, progress = NULL, reason = NULL, superseded = 0
WHERE token = :token AND run = :run AND state IN ('failed', 'expired', 'revoked')
