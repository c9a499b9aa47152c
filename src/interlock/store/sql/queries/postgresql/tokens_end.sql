-- Primary key; see token_end, inbox_add and audit_add: they are locked, so that what was found of them is still true.
WITH given AS (
  SELECT token, state, outcome, digest, completed_at, completed_by, run, cause_id, cause, action, target
  FROM unnest(:token::text[], :state::text[], :outcome::bytea[], :digest::text[], :completed_at::float8[],
    :completed_by::text[], :run::text[], :cause_id::text[], :cause::bytea[], :action::text[], :target::text[])
  AS g (token, state, outcome, digest, completed_at, completed_by, run, cause_id, cause, action, target)),
told AS (
  INSERT INTO inbox (run, cause_id, cause)
  SELECT run, cause_id, cause FROM given WHERE cause IS NOT NULL
  ON CONFLICT (run, cause_id) DO NOTHING
  RETURNING number, run, cause_id),
audited AS (
  INSERT INTO audit (at, actor, action, target)
  SELECT completed_at, completed_by, action, target FROM given WHERE cause IS NOT NULL),
ended AS (
  UPDATE tokens AS t SET state = g.state, outcome = g.outcome, digest = g.digest, completed_at = g.completed_at,
    completed_by = g.completed_by, reason = NULL
  FROM given AS g WHERE t.token = g.token AND t.state = 'open')
SELECT number, run, cause_id FROM told
