INSERT INTO tokens (token, run, effect, name, state, expires_at, created_at)
VALUES (:token, :run, :effect, :name, :state, :expires_at, :at)
