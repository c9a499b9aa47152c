-- Additive: processes of the version before go on with a store that has it.

-- The step that a token stands for, what its holder is told and bound to (JSON), what the holder told of the work meanwhile, and why
-- nobody waits for it any more. `superseded`: because the step was given to somebody else, under another token.
ALTER TABLE tokens ADD COLUMN step TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN terms BLOB;
ALTER TABLE tokens ADD COLUMN heartbeat_seconds REAL;
ALTER TABLE tokens ADD COLUMN heartbeat_at REAL;
ALTER TABLE tokens ADD COLUMN detail BLOB;
ALTER TABLE tokens ADD COLUMN progress BLOB;
ALTER TABLE tokens ADD COLUMN reason TEXT;
ALTER TABLE tokens ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tokens_pending ON tokens (created_at, expires_at) WHERE state = 'open';
