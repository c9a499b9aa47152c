-- Additive: processes of the version before go on with a store that has it.

-- How long a lease lasts from one renewal to the next (NULL: as its holder's node says), since when there is this grant, what people
-- are told of it, and the lock that a share, or a place in a queue, belongs to.
ALTER TABLE leases ADD COLUMN ttl REAL;
ALTER TABLE leases ADD COLUMN granted_at REAL;
ALTER TABLE leases ADD COLUMN detail BLOB;
ALTER TABLE leases ADD COLUMN target TEXT;
CREATE INDEX leases_targeted ON leases (target, kind, fence) WHERE target IS NOT NULL;

-- What a task asks of the worker that takes it, as JSON; NULL for nothing.
ALTER TABLE tasks ADD COLUMN needs TEXT;

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
