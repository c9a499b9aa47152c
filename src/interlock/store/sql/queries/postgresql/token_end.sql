-- Primary key. Terminal states never change, but by the retry of a run that asks again.
UPDATE tokens SET state = :state, outcome = :outcome, digest = :digest, completed_at = :completed_at, completed_by = :completed_by,
  reason = :reason
WHERE token = :token AND state = 'open'
RETURNING token, run, effect, name, state, outcome, digest, expires_at, created_at, completed_at, completed_by,
  step, terms, heartbeat_seconds, heartbeat_at, detail, progress, reason, superseded
