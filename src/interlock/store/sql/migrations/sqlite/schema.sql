-- Times are REAL seconds since 1970 (UTC). Payload columns are BLOBs of JSON text that the database never parses.
-- Flags are INTEGER 0 or 1. Hot indexes are partial: an ended row leaves them in the commit that ends it.

CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE migrations (
  name TEXT PRIMARY KEY,
  applied_at REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE definitions (
  digest TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  source TEXT NOT NULL
, used_at REAL, resources BLOB) WITHOUT ROWID;

CREATE TABLE published (
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  digest TEXT NOT NULL,
  published_at REAL NOT NULL,
  PRIMARY KEY (namespace, name, version)
) WITHOUT ROWID;

CREATE TABLE runs (
  run TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  id TEXT NOT NULL,
  definition TEXT NOT NULL,
  workflow TEXT NOT NULL,
  version TEXT NOT NULL,
  folder TEXT NOT NULL,
  origin TEXT,
  status TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  owner TEXT,
  wake_at REAL,
  partial INTEGER NOT NULL DEFAULT 0,
  created_at REAL NOT NULL,
  started_at REAL,
  ended_at REAL,
  input BLOB NOT NULL,
  head BLOB NOT NULL,
  output BLOB,
  fault BLOB, parent TEXT, parent_effect INTEGER, freed_at REAL, shown BLOB, called_back INTEGER NOT NULL DEFAULT 0,
  UNIQUE (id, namespace)
);
CREATE INDEX runs_free ON runs (run) WHERE owner IS NULL AND ended_at IS NULL;
CREATE INDEX runs_owned ON runs (owner) WHERE owner IS NOT NULL AND ended_at IS NULL;
CREATE INDEX runs_listed ON runs (namespace, run);

CREATE TABLE scopes (
  run TEXT NOT NULL,
  scope TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (run, scope)
) WITHOUT ROWID;

CREATE TABLE history (
  run TEXT NOT NULL,
  seq INTEGER NOT NULL,
  at REAL NOT NULL,
  epoch INTEGER NOT NULL,
  events BLOB NOT NULL,
  PRIMARY KEY (run, seq)
) WITHOUT ROWID;

-- Texts above the inline limit, in parts of at most 1 MiB, each written in a transaction of its own, before the commit that
-- refers to them; parts that no commit came to refer to are swept after a day.
CREATE TABLE large_values (
  run TEXT NOT NULL,
  digest TEXT NOT NULL,
  part INTEGER NOT NULL,
  parts INTEGER NOT NULL,
  body BLOB NOT NULL,
  stored_at REAL NOT NULL,
  referred INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (run, digest, part)
);
CREATE INDEX large_values_unreferred ON large_values (stored_at) WHERE referred = 0;

CREATE TABLE inbox (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  run TEXT NOT NULL,
  cause_id TEXT NOT NULL,
  cause BLOB NOT NULL, posted_at REAL,
  UNIQUE (run, cause_id)
);

CREATE TABLE tasks (
  task TEXT PRIMARY KEY,
  run TEXT NOT NULL,
  effect INTEGER NOT NULL,
  path TEXT NOT NULL,
  pool TEXT NOT NULL,
  priority INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('blocked', 'ready', 'held', 'running', 'delayed', 'quarantined', 'done', 'failed', 'cancelled', 'skipped')),
  fence INTEGER NOT NULL DEFAULT 0,
  attempt INTEGER NOT NULL,
  cancel INTEGER NOT NULL DEFAULT 0,
  target BLOB NOT NULL,
  folder TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  any_exit_code INTEGER NOT NULL,
  created_at REAL NOT NULL,
  ended_at REAL, ready_at REAL, held_by TEXT, linked INTEGER NOT NULL DEFAULT 0, needs TEXT, rank REAL NOT NULL DEFAULT 0, lane TEXT, spec BLOB, used TEXT,
  UNIQUE (run, effect)
);
CREATE INDEX tasks_ready ON tasks (pool, priority DESC, rank, task) WHERE state = 'ready';
CREATE INDEX tasks_open ON tasks (run, state) WHERE lane IS NOT NULL AND state NOT IN ('done', 'failed', 'cancelled', 'skipped');
CREATE INDEX tasks_unsuccessful ON tasks (run, state) WHERE lane IS NOT NULL AND state IN ('failed', 'cancelled', 'skipped');

-- A slot, a node's life: whatever expires. Occupancy is the count of live rows; there is no counter to leak.
CREATE TABLE leases (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  holder TEXT NOT NULL,
  fence INTEGER NOT NULL,
  place TEXT NOT NULL DEFAULT '',
  expires_at REAL NOT NULL, ttl REAL, granted_at REAL, detail BLOB, target TEXT, cpu REAL NOT NULL DEFAULT 0, memory REAL NOT NULL DEFAULT 0, devices TEXT,
  PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE INDEX leases_expiring ON leases (kind, expires_at);
CREATE INDEX leases_held ON leases (holder, kind);
CREATE INDEX leases_placed ON leases (place) WHERE place <> '';

CREATE TABLE nodes (
  node TEXT PRIMARY KEY,
  host TEXT NOT NULL,
  boot TEXT NOT NULL,
  pid INTEGER NOT NULL,
  started REAL NOT NULL,
  roles TEXT NOT NULL,
  version TEXT NOT NULL,
  pinned INTEGER NOT NULL,
  joined_at REAL NOT NULL,
  left_at REAL
, drain_at REAL, refusals TEXT NOT NULL DEFAULT '{}', unready TEXT NOT NULL DEFAULT '[]') WITHOUT ROWID;

CREATE TABLE logs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  run TEXT NOT NULL,
  path TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  at REAL NOT NULL,
  stream TEXT NOT NULL,
  text TEXT NOT NULL
, characters INTEGER);
CREATE INDEX logs_of_run ON logs (run, number);

CREATE TABLE audit (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  at REAL NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  detail BLOB
);

CREATE INDEX runs_children ON runs (parent, parent_effect) WHERE parent IS NOT NULL;

-- Open runs that tasks of graphs started; a child run that nobody awaits looks the same, and is passed over.
CREATE INDEX runs_of_tasks ON runs (run) WHERE parent IS NOT NULL AND parent_effect IS NULL AND ended_at IS NULL;

-- Events that were sent, kept for a day to be looked at; whoever listened was told in the transaction that stored them.
CREATE TABLE events (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  namespace TEXT NOT NULL,
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  at REAL NOT NULL,
  body BLOB NOT NULL,
  UNIQUE (namespace, source, id)
);
CREATE INDEX events_at ON events (at);

-- Who listens now. An empty type or source stands for any.
CREATE TABLE subscriptions (
  run TEXT NOT NULL,
  listener INTEGER NOT NULL,
  type TEXT NOT NULL,
  source TEXT NOT NULL,
  namespace TEXT NOT NULL,
  PRIMARY KEY (run, listener, type, source)
) WITHOUT ROWID;
CREATE INDEX subscriptions_matched ON subscriptions (namespace, type, source);
CREATE INDEX nodes_left ON nodes (left_at) WHERE left_at IS NOT NULL;

-- For retention, oldest first. Written once, by the commit that ends the run.
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;

-- What people look for among millions that went well. A run that completes is never in it, so the usual one pays nothing.
CREATE INDEX runs_unsuccessful ON runs (run) WHERE status IN ('faulted', 'cancelled');

-- Runs that are removed already, whose other rows are still to be deleted, in pieces.
CREATE TABLE removals (
  run TEXT PRIMARY KEY
) WITHOUT ROWID;

-- How far the output of a run's steps is stored, by who writes it: pieces that are sent again, since the reply was lost, are
-- told from new ones.
CREATE TABLE log_writers (
  run TEXT NOT NULL,
  writer TEXT NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (run, writer)
) WITHOUT ROWID;

CREATE INDEX tasks_held ON tasks (held_by, priority DESC, rank, task) WHERE state = 'held';
CREATE INDEX tasks_delayed ON tasks (ready_at) WHERE state = 'delayed';

-- What a task waits for. A blocking predecessor that fails skips the task; another one only has to end.
CREATE TABLE task_edges (
  predecessor TEXT NOT NULL,
  task TEXT NOT NULL,
  blocking INTEGER NOT NULL,
  PRIMARY KEY (predecessor, task)
) WITHOUT ROWID;
CREATE INDEX task_edges_of_task ON task_edges (task);

-- At most `capacity` leases name a limit, and at most one task per `interval_seconds` starts, `burst` of them at once.
-- `arrival_at`: when the next one would be due if they came evenly (GCRA).
CREATE TABLE limits (
  name TEXT PRIMARY KEY,
  capacity INTEGER,
  interval_seconds REAL,
  burst INTEGER NOT NULL DEFAULT 1,
  arrival_at REAL NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE task_limits (
  task TEXT NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY (task, name)
) WITHOUT ROWID;

-- The limits that a live lease names: its rows come and go with it, so a limit's occupancy is their count.
CREATE TABLE lease_limits (
  name TEXT NOT NULL,
  task TEXT NOT NULL,
  PRIMARY KEY (name, task)
) WITHOUT ROWID;
CREATE INDEX lease_limits_of_task ON lease_limits (task);

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
, step TEXT NOT NULL DEFAULT '', terms BLOB, heartbeat_seconds REAL, heartbeat_at REAL, detail BLOB, progress BLOB, reason TEXT,
  superseded INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX tokens_of_run ON tokens (run, token);
CREATE INDEX tokens_pending ON tokens (created_at, expires_at) WHERE state = 'open';

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

CREATE INDEX leases_targeted ON leases (target, kind, fence) WHERE target IS NOT NULL;

-- Processes that take work. Whether one lives, and since when nobody heard of it, is told by its lease of the kind `worker`; how
-- much it has to do by those that it holds. `session`: which process it is; `assigned`: a number that grows with every task.
CREATE TABLE workers (
  worker TEXT PRIMARY KEY,
  session TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('registered', 'draining', 'offline', 'removed')),
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  capacity INTEGER NOT NULL,
  silent_seconds REAL NOT NULL,
  capabilities BLOB NOT NULL,
  metadata BLOB NOT NULL,
  registered_at REAL NOT NULL,
  ended_at REAL,
  assigned INTEGER NOT NULL DEFAULT 0,
  assigned_at REAL,
  succeeded INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  busy_seconds REAL NOT NULL DEFAULT 0,
  failed_at REAL
) WITHOUT ROWID;
CREATE INDEX workers_of_state ON workers (state, worker);

-- What became of workers, in the order in which it was done.
CREATE TABLE worker_events (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  at REAL NOT NULL,
  worker TEXT NOT NULL,
  kind TEXT NOT NULL,
  detail BLOB
);
CREATE INDEX worker_events_at ON worker_events (at);

-- Choices, each with its candidates, their scores and the reason.
CREATE TABLE decisions (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  at REAL NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  chosen TEXT,
  body BLOB NOT NULL
);
CREATE INDEX decisions_of_subject ON decisions (kind, subject, number);
CREATE INDEX decisions_of_kind ON decisions (kind, number);
CREATE INDEX decisions_at ON decisions (at);

-- What each strategy of the balancer counts for, as it was learned from outcomes.
CREATE TABLE weights (
  name TEXT PRIMARY KEY,
  weight REAL NOT NULL
) WITHOUT ROWID;

-- Shared memory: the present value of each key. `version` changes with every write and is never used twice for a key; `stamp`:
-- microseconds since 1970, by which the last writer wins. A deleted cell stays for a while, or an older write would bring it back.
CREATE TABLE cells (
  namespace TEXT NOT NULL,
  space TEXT NOT NULL,
  key TEXT NOT NULL,
  value BLOB,
  version INTEGER NOT NULL,
  stamp INTEGER NOT NULL,
  writer TEXT NOT NULL,
  nonce TEXT NOT NULL,
  deleted INTEGER NOT NULL,
  expires_at REAL,
  changed_at REAL NOT NULL,
  PRIMARY KEY (namespace, space, key)
) WITHOUT ROWID;
CREATE INDEX cells_expiring ON cells (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX cells_deleted ON cells (changed_at) WHERE deleted = 1;

-- Every change of a cell, for who watches; kept for a day. Numbers become visible in their order, since there is one writer.
CREATE TABLE cell_changes (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  namespace TEXT NOT NULL,
  space TEXT NOT NULL,
  key TEXT NOT NULL,
  value BLOB,
  version INTEGER NOT NULL,
  stamp INTEGER NOT NULL,
  writer TEXT NOT NULL,
  nonce TEXT NOT NULL,
  deleted INTEGER NOT NULL,
  at REAL NOT NULL
);
CREATE INDEX cell_changes_of_namespace ON cell_changes (namespace, number);
CREATE INDEX cell_changes_at ON cell_changes (at);
CREATE INDEX cell_changes_sent ON cell_changes (nonce) WHERE nonce <> '';

-- A change is told by the statement that makes it, whichever it is. A value whose time was over before the next one came ended as
-- one version more. (No line of a trigger ends in a semicolon: scripts are cut there.)
CREATE TRIGGER cell_added AFTER INSERT ON cells BEGIN
INSERT INTO cell_changes (namespace, space, key, value, version, stamp, writer, nonce, deleted, at)
VALUES (new.namespace, new.space, new.key, new.value, new.version, new.stamp, new.writer, new.nonce, new.deleted, new.changed_at); END;
CREATE TRIGGER cell_changed AFTER UPDATE ON cells WHEN new.version <> old.version BEGIN
INSERT INTO cell_changes (namespace, space, key, value, version, stamp, writer, nonce, deleted, at)
SELECT new.namespace, new.space, new.key, NULL, old.version + 1, old.stamp, old.writer, '', 1, new.changed_at
WHERE old.expires_at <= new.changed_at AND new.deleted = 0; INSERT INTO cell_changes (namespace, space, key, value, version, stamp, writer, nonce, deleted, at)
VALUES (new.namespace, new.space, new.key, new.value, new.version, new.stamp, new.writer, new.nonce, new.deleted, new.changed_at); END;

-- Whom the outcome of a run is to be told, and how far that is. `sealed`: where it goes and by which secret, under the store key;
-- `receiver` and `identity`: proofs of whom and of what exactly was handed in, so that a caller's retry is known. `waiting`: 1 while
-- the run lives. `due_at`: when something is to be done: the outcome told, a heartbeat given (every `beat_seconds`), or, at
-- the deadline, the caller told that it waits in vain. `node` and `fence`: who does it now.
CREATE TABLE deliveries (
  delivery TEXT PRIMARY KEY,
  run TEXT NOT NULL,
  namespace TEXT NOT NULL,
  kind TEXT NOT NULL,
  target TEXT NOT NULL,
  receiver TEXT NOT NULL,
  identity TEXT NOT NULL,
  sealed BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'expired', 'failed', 'superseded')),
  waiting INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  due_at REAL NOT NULL,
  deadline REAL NOT NULL,
  beat_seconds REAL,
  node TEXT,
  fence INTEGER NOT NULL DEFAULT 0,
  problem TEXT,
  created_at REAL NOT NULL,
  ended_at REAL
) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'pending';
CREATE INDEX deliveries_waiting ON deliveries (delivery) WHERE state = 'pending' AND waiting = 1;
CREATE INDEX deliveries_claimed ON deliveries (node) WHERE state = 'pending' AND node IS NOT NULL;
CREATE INDEX deliveries_of_run ON deliveries (run, delivery);

-- Each sending, written before it goes out: one without a status may have arrived.
CREATE TABLE delivery_attempts (
  delivery TEXT NOT NULL,
  number INTEGER NOT NULL,
  run TEXT NOT NULL,
  node TEXT NOT NULL,
  at REAL NOT NULL,
  seconds REAL,
  status TEXT,
  detail TEXT,
  PRIMARY KEY (delivery, number)
) WITHOUT ROWID;
CREATE INDEX delivery_attempts_of_run ON delivery_attempts (run, delivery, number);

-- The commit that ends a run, whichever it is, makes its deliveries due; the one that reopens it takes that back. (No line of a
-- trigger ends in a semicolon: scripts are cut there.)
CREATE TRIGGER delivery_added AFTER INSERT ON deliveries BEGIN
UPDATE runs SET called_back = 1 WHERE run = new.run AND called_back = 0; END;
CREATE TRIGGER run_told AFTER UPDATE OF ended_at ON runs WHEN new.called_back = 1 AND new.ended_at IS NOT old.ended_at BEGIN
UPDATE deliveries SET waiting = new.ended_at IS NULL,
due_at = coalesce(new.ended_at, CASE WHEN beat_seconds IS NULL THEN deadline ELSE created_at END)
WHERE run = new.run AND state = 'pending'; END;

-- API keys. Only a digest of the secret is kept. `namespaces`: a JSON list, NULL for all of them. Revoked ones stay: the audit log
-- names them.
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'worker', 'admin')),
  namespaces TEXT,
  created_at REAL NOT NULL,
  created_by TEXT NOT NULL,
  expires_at REAL,
  revoked_at REAL
) WITHOUT ROWID;
CREATE INDEX api_keys_live ON api_keys (id) WHERE revoked_at IS NULL;

-- Files that attempts kept: what they are, and where the file is (`place`, in the folder of artifacts). A file is there before its
-- row, and goes after it.
CREATE TABLE artifacts (
  run TEXT NOT NULL,
  task TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  name TEXT NOT NULL,
  path TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size INTEGER NOT NULL,
  digest TEXT NOT NULL,
  place TEXT NOT NULL,
  created_at REAL NOT NULL,
  PRIMARY KEY (run, task, attempt, name)
) WITHOUT ROWID;

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

-- Who waits for the end of a task graph: the token of a run, for the execution of a step that `visit` names. `is_loaded`: the graph
-- is whole. `ended_at`: when its end was reported, or nobody wanted it any more.
CREATE TABLE waits (
  graph TEXT PRIMARY KEY,
  visit TEXT NOT NULL,
  token TEXT NOT NULL,
  run TEXT NOT NULL,
  is_loaded INTEGER NOT NULL,
  ended_at REAL
) WITHOUT ROWID;
CREATE INDEX waits_open ON waits (graph) WHERE ended_at IS NULL;
CREATE INDEX waits_of_run ON waits (run);
