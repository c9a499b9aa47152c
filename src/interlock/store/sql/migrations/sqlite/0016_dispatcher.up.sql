-- Additive: processes of the version before go on with a store that has it.

-- A task of a graph is found in a lane until it is placed, and its row names the lane for the next time. `rank`: what comes first
-- among tasks of equal priority, the smallest. `spec`: what else is known of it, as JSON; `used`: its retries by class of failure.
ALTER TABLE tasks ADD COLUMN rank REAL NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN lane TEXT;
ALTER TABLE tasks ADD COLUMN spec BLOB;
ALTER TABLE tasks ADD COLUMN used TEXT;
DROP INDEX tasks_ready;
CREATE INDEX tasks_ready ON tasks (pool, priority DESC, rank, task) WHERE state = 'ready';
DROP INDEX tasks_held;
CREATE INDEX tasks_held ON tasks (held_by, priority DESC, rank, task) WHERE state = 'held';
CREATE INDEX tasks_open ON tasks (run, state) WHERE lane IS NOT NULL AND state NOT IN ('done', 'failed', 'cancelled', 'skipped');
CREATE INDEX tasks_unsuccessful ON tasks (run, state) WHERE lane IS NOT NULL AND state IN ('failed', 'cancelled', 'skipped');

-- What an attempt takes of its pool for as long as its lease lives: cores, megabytes, graphics processors (JSON, their indexes).
ALTER TABLE leases ADD COLUMN cpu REAL NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN memory REAL NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN devices TEXT;
CREATE INDEX leases_placed ON leases (place) WHERE place <> '';

-- Sets of tasks that were loaded as one. `graph` is what their rows name as their run.
CREATE TABLE graphs (
  graph TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  folder TEXT NOT NULL,
  tasks INTEGER NOT NULL,
  loads INTEGER NOT NULL,
  loading_until REAL,
  loaded_at REAL,
  document BLOB NOT NULL,
  UNIQUE (namespace, name)
);

-- Every try of a task of a graph, from its placement on. `outcome` NULL: it is not over.
CREATE TABLE attempts (
  task TEXT NOT NULL,
  fence INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  pool TEXT NOT NULL,
  holder TEXT NOT NULL,
  placed_at REAL NOT NULL,
  started_at REAL,
  ended_at REAL,
  outcome TEXT,
  failure TEXT,
  detail BLOB,
  PRIMARY KEY (task, fence)
) WITHOUT ROWID;
CREATE INDEX attempts_of_pool ON attempts (pool, placed_at);

-- Where attempts run, and what each has room for (NULL: no bound). The row `*` is for all of them together, and names the policy.
-- `state` is what people said, `settings` what a node declared. `again_at`: when one that is ill is tried again.
CREATE TABLE pools (
  pool TEXT PRIMARY KEY,
  type TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('enabled', 'disabled', 'draining')),
  capacity INTEGER,
  cpu REAL,
  memory REAL,
  gpus INTEGER,
  settings BLOB NOT NULL,
  declared_at REAL NOT NULL,
  turn INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- What the nodes that launch for a pool find when they try it. No row: it is well.
CREATE TABLE pool_ills (
  pool TEXT NOT NULL,
  node TEXT NOT NULL,
  reason TEXT NOT NULL,
  since REAL NOT NULL,
  again_at REAL NOT NULL,
  PRIMARY KEY (pool, node)
) WITHOUT ROWID;

-- How far a key has come in its share of the pools (start-time fair queueing); the key '' is the time of all.
CREATE TABLE shares (
  name TEXT PRIMARY KEY,
  reached REAL NOT NULL
) WITHOUT ROWID;
