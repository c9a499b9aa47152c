-- Primary key.
UPDATE tokens SET state = 'revoked' WHERE token = :token AND run = :run AND state = 'open'
