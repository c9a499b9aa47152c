-- Index tokens_of_run.
UPDATE tokens SET state = CASE WHEN expires_at <= :at THEN 'expired' ELSE 'revoked' END, reason = :reason
WHERE run = :run AND state = 'open'
