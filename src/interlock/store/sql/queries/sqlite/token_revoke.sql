-- Primary key. One whose time is over has expired, whoever notices it.
UPDATE tokens SET state = CASE WHEN expires_at <= :at THEN 'expired' ELSE 'revoked' END, reason = :reason,
  superseded = :superseded
WHERE token = :token AND run = :run AND state = 'open'
