-- Primary key. There is one writer at a time anyway.
SELECT token, run, effect, name, state, outcome, digest, expires_at, created_at, completed_at, completed_by,
  step, terms, heartbeat_seconds, heartbeat_at, detail, progress, reason, superseded
FROM tokens WHERE token = :token
