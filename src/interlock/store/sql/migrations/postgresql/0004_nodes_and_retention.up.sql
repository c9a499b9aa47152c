-- Additive: processes of the version before go on with a store that has it.

-- When a run became unowned; NULL while it is owned, and for runs that an older process freed.
ALTER TABLE runs ADD COLUMN freed_at double precision;

-- `drain_at`: somebody asked the node to drain. `refusals`: JSON, digest of a definition to why the node cannot execute it.
-- `unready`: JSON, what keeps the node from working, a list of texts.
ALTER TABLE nodes ADD COLUMN drain_at double precision, ADD COLUMN refusals text NOT NULL DEFAULT '{}',
  ADD COLUMN unready text NOT NULL DEFAULT '[]';
CREATE INDEX nodes_left ON nodes (left_at) WHERE left_at IS NOT NULL;

-- For retention, oldest first. Written once, by the commit that ends the run.
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;

-- When a definition was last stored or asked for; NULL for those of an older process, which are kept.
ALTER TABLE definitions ADD COLUMN used_at double precision;

-- Runs that are removed already, whose other rows are still to be deleted, in pieces.
CREATE TABLE removals (
  run text COLLATE "C" PRIMARY KEY
);

-- When a cause was posted; NULL for those of an older process.
ALTER TABLE inbox ADD COLUMN posted_at double precision;
ALTER TABLE inbox ALTER posted_at SET DEFAULT extract(epoch FROM clock_timestamp());
