-- Primary key. Terminal states never change.
UPDATE tokens SET state = :state, outcome = :outcome, digest = :digest, completed_at = :completed_at, completed_by = :completed_by
WHERE token = :token AND state = 'open'
RETURNING token, run, effect, name, state, outcome, digest, expires_at, created_at, completed_at, completed_by
