-- Additive: processes of the version before go on with a store that has it.

-- A task of a graph is found in a lane until it is placed, and its row names the lane for the next time. `rank`: what comes first
-- among tasks of equal priority, the smallest. `spec`: what else is known of it, as JSON; `used`: its retries by class of failure.
ALTER TABLE tasks ADD COLUMN rank double precision NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN lane text COLLATE "C";
ALTER TABLE tasks ADD COLUMN spec bytea;
ALTER TABLE tasks ALTER spec SET STORAGE EXTERNAL;
ALTER TABLE tasks ADD COLUMN used text;
DROP INDEX tasks_ready;
CREATE INDEX tasks_ready ON tasks (pool, priority DESC, rank, task) WHERE state = 'ready';
DROP INDEX tasks_held;
CREATE INDEX tasks_held ON tasks (held_by, priority DESC, rank, task) WHERE state = 'held';
CREATE INDEX tasks_open ON tasks (run, state) WHERE lane IS NOT NULL AND state NOT IN ('done', 'failed', 'cancelled', 'skipped');
CREATE INDEX tasks_unsuccessful ON tasks (run, state) WHERE lane IS NOT NULL AND state IN ('failed', 'cancelled', 'skipped');

-- What an attempt takes of its pool for as long as its lease lives: cores, megabytes, graphics processors (JSON, their indexes).
ALTER TABLE leases ADD COLUMN cpu double precision NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN memory double precision NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN devices text;
CREATE INDEX leases_placed ON leases (place) WHERE place <> '';

-- Sets of tasks that were loaded as one. `graph` is what their rows name as their run.
CREATE TABLE graphs (
  graph text COLLATE "C" PRIMARY KEY,
  namespace text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  digest text COLLATE "C" NOT NULL,
  document bytea NOT NULL,
  folder text COLLATE "C" NOT NULL,
  tasks bigint NOT NULL,
  loads bigint NOT NULL,
  loading_until double precision,
  loaded_at double precision,
  UNIQUE (namespace, name)
);

-- Every try of a task of a graph, from its placement on. `outcome` NULL: it is not over.
CREATE TABLE attempts (
  task text COLLATE "C" NOT NULL,
  fence bigint NOT NULL,
  attempt bigint NOT NULL,
  pool text COLLATE "C" NOT NULL,
  holder text COLLATE "C" NOT NULL,
  placed_at double precision NOT NULL,
  started_at double precision,
  ended_at double precision,
  outcome text COLLATE "C",
  failure text COLLATE "C",
  detail bytea,
  PRIMARY KEY (task, fence)
);
CREATE INDEX attempts_of_pool ON attempts (pool, placed_at);

-- Where attempts run, and what each has room for (NULL: no bound). The row `*` is for all of them together, and names the policy.
-- `state` is what people said, `settings` what a node declared. `again_at`: when one that is ill is tried again.
CREATE TABLE pools (
  pool text COLLATE "C" PRIMARY KEY,
  type text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL CHECK (state IN ('enabled', 'disabled', 'draining')),
  capacity bigint,
  cpu double precision,
  memory double precision,
  gpus bigint,
  settings bytea NOT NULL,
  declared_at double precision NOT NULL,
  turn bigint NOT NULL DEFAULT 0
);

-- What the nodes that launch for a pool find when they try it. No row: it is well.
CREATE TABLE pool_ills (
  pool text COLLATE "C" NOT NULL,
  node text COLLATE "C" NOT NULL,
  reason text COLLATE "C" NOT NULL,
  since double precision NOT NULL,
  again_at double precision NOT NULL,
  PRIMARY KEY (pool, node)
);

-- How far a key has come in its share of the pools (start-time fair queueing); the key '' is the time of all.
CREATE TABLE shares (
  name text COLLATE "C" PRIMARY KEY,
  reached double precision NOT NULL
);
