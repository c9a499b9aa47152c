-- Index tokens_of_run.
UPDATE tokens SET state = 'revoked' WHERE run = :run AND state = 'open'
