-- Index tokens_of_run, and the primary key of runs.
SELECT t.token, t.run, t.effect, t.name, t.state, t.outcome, t.digest, t.expires_at, t.created_at, t.completed_at, t.completed_by,
  t.step, t.terms, t.heartbeat_seconds, t.heartbeat_at, t.detail, t.progress, t.reason, t.superseded, r.namespace, r.id
FROM tokens AS t JOIN runs AS r ON r.run = t.run
WHERE t.run = :run AND (t.state = 'open' OR :open::int = 0) ORDER BY t.created_at, t.token LIMIT :limit
