-- Primary key.
SELECT 1 FROM tokens WHERE token = :token AND run = :run AND state = 'open'
