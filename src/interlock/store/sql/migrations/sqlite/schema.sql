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
, resources BLOB) WITHOUT ROWID;

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
  fault BLOB,
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
  cause BLOB NOT NULL,
  UNIQUE (run, cause_id)
);

CREATE TABLE tasks (
  task TEXT PRIMARY KEY,
  run TEXT NOT NULL,
  effect INTEGER NOT NULL,
  path TEXT NOT NULL,
  pool TEXT NOT NULL,
  priority INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('ready', 'running', 'done', 'failed', 'cancelled')),
  fence INTEGER NOT NULL DEFAULT 0,
  attempt INTEGER NOT NULL,
  cancel INTEGER NOT NULL DEFAULT 0,
  target BLOB NOT NULL,
  folder TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  any_exit_code INTEGER NOT NULL,
  created_at REAL NOT NULL,
  ended_at REAL,
  UNIQUE (run, effect)
);
CREATE INDEX tasks_ready ON tasks (pool, priority DESC, task) WHERE state = 'ready';

-- A slot, a node's life: whatever expires. Occupancy is the count of live rows; there is no counter to leak.
CREATE TABLE leases (
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  holder TEXT NOT NULL,
  fence INTEGER NOT NULL,
  place TEXT NOT NULL DEFAULT '',
  expires_at REAL NOT NULL,
  PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE INDEX leases_expiring ON leases (kind, expires_at);
CREATE INDEX leases_held ON leases (holder, kind);
CREATE INDEX leases_placed ON leases (kind, place);

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
) WITHOUT ROWID;

CREATE TABLE logs (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  run TEXT NOT NULL,
  path TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  at REAL NOT NULL,
  stream TEXT NOT NULL,
  text TEXT NOT NULL
);
CREATE INDEX logs_of_run ON logs (run, number);

CREATE TABLE audit (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  at REAL NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  detail BLOB
);
