-- Primary keys of both, in one order. As token_lock, for those of a group, whether their runs are open, and whether nothing has come for them that was not applied yet.
SELECT t.token, t.run, t.effect, t.name, t.state, t.outcome, t.digest, t.expires_at, t.created_at, t.completed_at, t.completed_by,
  t.step, t.terms, t.heartbeat_seconds, t.heartbeat_at, t.detail, t.progress, t.reason, t.superseded, r.namespace, r.id,
  r.ended_at IS NULL, NOT EXISTS (SELECT 1 FROM inbox AS i WHERE i.run = t.run)
FROM tokens AS t JOIN runs AS r ON r.run = t.run
WHERE t.token = ANY (:tokens::text[]) ORDER BY t.token FOR UPDATE OF t
