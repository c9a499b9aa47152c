-- A check is no part of what is stored, so it is exchanged in place (https://sqlite.org/lang_altertable.html).
PRAGMA writable_schema=ON;
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (state IN (''ready'', ''running'', ''done'', ''failed'', ''cancelled''))', 'CHECK (state IN (''blocked'', ''ready'', ''held'', ''running'', ''delayed'', ''quarantined'', ''done'', ''failed'', ''cancelled'', ''skipped''))') WHERE type = 'table' AND name = 'tasks';
PRAGMA writable_schema=RESET;
ALTER TABLE tasks ADD COLUMN ready_at REAL;
ALTER TABLE tasks ADD COLUMN held_by TEXT;
ALTER TABLE tasks ADD COLUMN linked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tasks_held ON tasks (held_by, priority DESC, task) WHERE state = 'held';
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
