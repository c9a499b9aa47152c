-- Additive: processes of the version before go on with a store that has it.

-- When a run became unowned; NULL while it is owned, and for runs that an older process freed.
ALTER TABLE runs ADD COLUMN freed_at REAL;

-- `drain_at`: somebody asked the node to drain. `refusals`: JSON, digest of a definition to why the node cannot execute it.
-- `unready`: JSON, what keeps the node from working, a list of texts.
ALTER TABLE nodes ADD COLUMN drain_at REAL;
ALTER TABLE nodes ADD COLUMN refusals TEXT NOT NULL DEFAULT '{}';
ALTER TABLE nodes ADD COLUMN unready TEXT NOT NULL DEFAULT '[]';
CREATE INDEX nodes_left ON nodes (left_at) WHERE left_at IS NOT NULL;

-- For retention, oldest first. Written once, by the commit that ends the run.
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;

-- When a definition was last stored or asked for; NULL for those of an older process, which are kept.
ALTER TABLE definitions ADD COLUMN used_at REAL;

-- Runs that are removed already, whose other rows are still to be deleted, in pieces.
CREATE TABLE removals (
  run TEXT PRIMARY KEY
) WITHOUT ROWID;

-- When a cause was posted; NULL for those of an older process.
ALTER TABLE inbox ADD COLUMN posted_at REAL;
