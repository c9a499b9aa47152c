-- Additive: processes of the version before go on with a store that has it. What is dropped here nothing of theirs names.

-- What a step of a Python run gave, written once in the commit that records it, and what undoes a step.
CREATE TABLE memos (
  run TEXT NOT NULL,
  number INTEGER NOT NULL,
  call TEXT NOT NULL,
  undo INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE INDEX memos_undo ON memos (run, number) WHERE undo = 1;

-- Progress and status of a run as its author put them: JSON, NULL for nothing.
ALTER TABLE runs ADD COLUMN shown BLOB;

-- What runs are searched by. `value`: JSON text, so that a number is no text; `number`: the same, where it is one.
CREATE TABLE attributes (
  run TEXT NOT NULL,
  name TEXT NOT NULL,
  namespace TEXT NOT NULL,
  value TEXT NOT NULL,
  number REAL,
  PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE INDEX attributes_found ON attributes (name, value, namespace, run);

-- What a run waits for from outside, by an opaque id.
CREATE TABLE tokens (
  token TEXT PRIMARY KEY,
  run TEXT NOT NULL,
  effect INTEGER NOT NULL,
  name TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('open', 'completed', 'failed', 'expired', 'revoked')),
  outcome BLOB,
  digest TEXT,
  expires_at REAL,
  created_at REAL NOT NULL,
  completed_at REAL,
  completed_by TEXT
) WITHOUT ROWID;
CREATE INDEX tokens_of_run ON tokens (run, token);

-- Results of steps that other runs may use instead of performing the step.
CREATE TABLE cached (
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  key TEXT NOT NULL,
  body BLOB NOT NULL,
  expires_at REAL NOT NULL,
  PRIMARY KEY (namespace, name, key)
) WITHOUT ROWID;
CREATE INDEX cached_expiring ON cached (expires_at);

DROP INDEX leases_placed;
