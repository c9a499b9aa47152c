-- Primary key.
SELECT token, run, effect, name, state, outcome, digest, expires_at, created_at, completed_at, completed_by
FROM tokens WHERE token = :token
