-- Primary keys of both. There is one writer at a time anyway.
SELECT t.token, t.run, t.effect, t.name, t.state, t.outcome, t.digest, t.expires_at, t.created_at, t.completed_at, t.completed_by,
  t.step, t.terms, t.heartbeat_seconds, t.heartbeat_at, t.detail, t.progress, t.reason, t.superseded, r.namespace, r.id
FROM tokens AS t JOIN runs AS r ON r.run = t.run WHERE t.token = :token
