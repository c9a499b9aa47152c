-- Primary key: of two completions, and of one and the end of the run, the second sees what the first did.
SELECT token, run, effect, name, state, outcome, digest, expires_at, created_at, completed_at, completed_by,
  step, terms, heartbeat_seconds, heartbeat_at, detail, progress, reason, superseded
FROM tokens WHERE token = :token FOR UPDATE
