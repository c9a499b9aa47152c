-- Primary key. What is NULL stays as it was.
UPDATE tokens SET heartbeat_at = :now, detail = coalesce(:detail::bytea, detail), progress = coalesce(:progress::bytea, progress)
WHERE token = :token AND state = 'open'
RETURNING token, run, effect, name, state, outcome, digest, expires_at, created_at, completed_at, completed_by,
  step, terms, heartbeat_seconds, heartbeat_at, detail, progress, reason, superseded
