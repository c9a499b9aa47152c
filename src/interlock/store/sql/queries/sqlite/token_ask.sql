-- Primary key.
UPDATE tokens SET reason = :reason WHERE token = :token AND run = :run AND state = 'open'
