-- Additive: processes of the version before go on with a store that has it.

-- The step that a token stands for, what its holder is told and bound to (JSON), what the holder told of the work meanwhile, and why
-- nobody waits for it any more. `superseded`: because the step was given to somebody else, under another token.
ALTER TABLE tokens ADD COLUMN step text NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN terms bytea;
ALTER TABLE tokens ADD COLUMN heartbeat_seconds double precision;
ALTER TABLE tokens ADD COLUMN heartbeat_at double precision;
ALTER TABLE tokens ADD COLUMN detail bytea;
ALTER TABLE tokens ADD COLUMN progress bytea;
ALTER TABLE tokens ADD COLUMN reason text;
ALTER TABLE tokens ADD COLUMN superseded smallint NOT NULL DEFAULT 0;
CREATE INDEX tokens_pending ON tokens (created_at, expires_at) WHERE state = 'open';
