-- Index tokens_of_run.
SELECT token, run, effect, name, state, outcome, digest, expires_at, created_at, completed_at, completed_by,
  step, terms, heartbeat_seconds, heartbeat_at, detail, progress, reason, superseded
FROM tokens WHERE run = :run AND (state = 'open' OR :open = 0) ORDER BY created_at, token LIMIT :limit
