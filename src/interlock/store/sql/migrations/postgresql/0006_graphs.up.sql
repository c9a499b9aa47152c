ALTER TABLE tasks
  DROP CONSTRAINT tasks_state_check,
  ADD CONSTRAINT tasks_state_check CHECK (state IN ('blocked', 'ready', 'held', 'running', 'delayed', 'quarantined', 'done', 'failed', 'cancelled', 'skipped')),
  ADD COLUMN ready_at double precision,
  ADD COLUMN held_by text COLLATE "C",
  ADD COLUMN linked smallint NOT NULL DEFAULT 0;
CREATE INDEX tasks_held ON tasks (held_by, priority DESC, task) WHERE state = 'held';
CREATE INDEX tasks_delayed ON tasks (ready_at) WHERE state = 'delayed';

-- What a task waits for. A blocking predecessor that fails skips the task; another one only has to end.
CREATE TABLE task_edges (
  predecessor text COLLATE "C" NOT NULL,
  task text COLLATE "C" NOT NULL,
  blocking smallint NOT NULL,
  PRIMARY KEY (predecessor, task)
);
CREATE INDEX task_edges_of_task ON task_edges (task);

-- At most `capacity` leases name a limit, and at most one task per `interval_seconds` starts, `burst` of them at once.
-- `arrival_at`: when the next one would be due if they came evenly (GCRA). Every claim locks the row of its pool, too.
ALTER TABLE limits
  ADD COLUMN capacity bigint,
  ADD COLUMN interval_seconds double precision,
  ADD COLUMN burst bigint NOT NULL DEFAULT 1,
  ADD COLUMN arrival_at double precision NOT NULL DEFAULT 0;

CREATE TABLE task_limits (
  task text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  PRIMARY KEY (task, name)
);

-- The limits that a live lease names: its rows come and go with it, so a limit's occupancy is their count.
CREATE TABLE lease_limits (
  name text COLLATE "C" NOT NULL,
  task text COLLATE "C" NOT NULL,
  PRIMARY KEY (name, task)
);
CREATE INDEX lease_limits_of_task ON lease_limits (task);
