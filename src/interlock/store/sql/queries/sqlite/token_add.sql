-- Primary key. One that a retry asks for again is there already.
INSERT INTO tokens (token, run, effect, name, state, expires_at, created_at, step, terms, heartbeat_seconds)
SELECT :token, :run, :effect, :name, :state, :expires_at, :at, :step, :terms, :heartbeat_seconds
WHERE NOT EXISTS (SELECT 1 FROM tokens WHERE token = :token AND run = :run)
