-- Times are seconds since 1970 (UTC). Payload columns are bytes of JSON text that the database never parses; they stand
-- outside the row (EXTERNAL) uncompressed when they are long. Flags are 0 or 1. Keys compare by bytes (COLLATE "C"), so
-- that the order of UUIDv7 run keys is the order of their creation. What grows with every run is partitioned by the week
-- of the run's key; an id is unique over all of them, in run_keys. Hot indexes are partial: an ended row leaves them in
-- the commit that ends it.

CREATE TABLE meta (
  name text COLLATE "C" PRIMARY KEY,
  value text NOT NULL
);

CREATE TABLE migrations (
  name text COLLATE "C" PRIMARY KEY,
  applied_at double precision NOT NULL
);

CREATE TABLE definitions (
  digest text COLLATE "C" PRIMARY KEY,
  namespace text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  version text COLLATE "C" NOT NULL,
  source text NOT NULL,
  used_at double precision,
  resources bytea
);
ALTER TABLE definitions ALTER resources SET STORAGE EXTERNAL;

CREATE TABLE published (
  namespace text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  version text COLLATE "C" NOT NULL,
  digest text COLLATE "C" NOT NULL,
  published_at double precision NOT NULL,
  PRIMARY KEY (namespace, name, version)
);

CREATE TABLE run_keys (
  id text COLLATE "C" NOT NULL,
  namespace text COLLATE "C" NOT NULL,
  run text COLLATE "C" NOT NULL,
  PRIMARY KEY (id, namespace)
);
CREATE INDEX run_keys_of_run ON run_keys (run);

CREATE TABLE runs (
  run text COLLATE "C" PRIMARY KEY,
  namespace text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  definition text COLLATE "C" NOT NULL,
  workflow text COLLATE "C" NOT NULL,
  version text COLLATE "C" NOT NULL,
  folder text NOT NULL,
  origin text,
  status text NOT NULL,
  epoch bigint NOT NULL,
  seq bigint NOT NULL,
  owner text COLLATE "C",
  wake_at double precision,
  partial smallint NOT NULL DEFAULT 0,
  created_at double precision NOT NULL,
  started_at double precision,
  ended_at double precision,
  input bytea NOT NULL,
  head bytea NOT NULL,
  output bytea,
  fault bytea,
  parent text COLLATE "C",
  parent_effect bigint,
  freed_at double precision,
  shown bytea,
  called_back smallint NOT NULL DEFAULT 0
) PARTITION BY RANGE (run);
ALTER TABLE runs ALTER input SET STORAGE EXTERNAL, ALTER head SET STORAGE EXTERNAL, ALTER output SET STORAGE EXTERNAL,
  ALTER fault SET STORAGE EXTERNAL, ALTER shown SET STORAGE EXTERNAL;
CREATE TABLE runs_other PARTITION OF runs DEFAULT;
CREATE INDEX runs_free ON runs (run) WHERE owner IS NULL AND ended_at IS NULL;
CREATE INDEX runs_owned ON runs (owner) WHERE owner IS NOT NULL AND ended_at IS NULL;
CREATE INDEX runs_listed ON runs (namespace, run);

CREATE TABLE scopes (
  run text COLLATE "C" NOT NULL,
  scope text COLLATE "C" NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (run, scope)
);
ALTER TABLE scopes ALTER body SET STORAGE EXTERNAL;

CREATE TABLE history (
  run text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  at double precision NOT NULL,
  epoch bigint NOT NULL,
  events bytea NOT NULL,
  PRIMARY KEY (run, seq)
) PARTITION BY RANGE (run);
ALTER TABLE history ALTER events SET STORAGE EXTERNAL;
CREATE TABLE history_other PARTITION OF history DEFAULT;

-- Texts above the inline limit, in parts of at most 1 MiB, each written in a transaction of its own, before the commit that
-- refers to them; parts that no commit came to refer to are swept after a day.
CREATE TABLE large_values (
  run text COLLATE "C" NOT NULL,
  digest text COLLATE "C" NOT NULL,
  part bigint NOT NULL,
  parts bigint NOT NULL,
  body bytea NOT NULL,
  stored_at double precision NOT NULL,
  referred smallint NOT NULL DEFAULT 0,
  PRIMARY KEY (run, digest, part)
) PARTITION BY RANGE (run);
ALTER TABLE large_values ALTER body SET STORAGE EXTERNAL;
CREATE TABLE large_values_other PARTITION OF large_values DEFAULT;
CREATE INDEX large_values_unreferred ON large_values (stored_at) WHERE referred = 0;

CREATE SEQUENCE inbox_numbers;
CREATE TABLE inbox (
  number bigint PRIMARY KEY DEFAULT nextval('inbox_numbers'),
  run text COLLATE "C" NOT NULL,
  cause_id text COLLATE "C" NOT NULL,
  cause bytea NOT NULL,
  posted_at double precision DEFAULT extract(epoch FROM clock_timestamp()),
  UNIQUE (run, cause_id)
);
ALTER TABLE inbox ALTER cause SET STORAGE EXTERNAL;

CREATE TABLE tasks (
  task text COLLATE "C" PRIMARY KEY,
  run text COLLATE "C" NOT NULL,
  effect bigint NOT NULL,
  path text NOT NULL,
  pool text COLLATE "C" NOT NULL,
  priority bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('blocked', 'ready', 'held', 'running', 'delayed', 'quarantined', 'done', 'failed', 'cancelled', 'skipped')),
  fence bigint NOT NULL DEFAULT 0,
  attempt bigint NOT NULL,
  cancel smallint NOT NULL DEFAULT 0,
  target bytea NOT NULL,
  folder text NOT NULL,
  idempotency_key text NOT NULL,
  any_exit_code smallint NOT NULL,
  created_at double precision NOT NULL,
  ended_at double precision,
  ready_at double precision,
  held_by text COLLATE "C",
  linked smallint NOT NULL DEFAULT 0,
  needs text,
  rank double precision NOT NULL DEFAULT 0,
  lane text COLLATE "C",
  spec bytea,
  used text,
  UNIQUE (run, effect)
);
ALTER TABLE tasks ALTER target SET STORAGE EXTERNAL;
ALTER TABLE tasks ALTER spec SET STORAGE EXTERNAL;
CREATE INDEX tasks_ready ON tasks (pool, priority DESC, rank, task) WHERE state = 'ready';
CREATE INDEX tasks_open ON tasks (run, state) WHERE lane IS NOT NULL AND state NOT IN ('done', 'failed', 'cancelled', 'skipped');
CREATE INDEX tasks_unsuccessful ON tasks (run, state) WHERE lane IS NOT NULL AND state IN ('failed', 'cancelled', 'skipped');

-- A slot, a node's life: whatever expires. Occupancy is the count of live rows; there is no counter to leak.
CREATE TABLE leases (
  kind text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  holder text COLLATE "C" NOT NULL,
  fence bigint NOT NULL,
  place text COLLATE "C" NOT NULL DEFAULT '',
  expires_at double precision NOT NULL,
  ttl double precision,
  granted_at double precision,
  detail bytea,
  target text COLLATE "C",
  cpu double precision NOT NULL DEFAULT 0,
  memory double precision NOT NULL DEFAULT 0,
  devices text,
  PRIMARY KEY (kind, name)
);
CREATE INDEX leases_expiring ON leases (kind, expires_at);
CREATE INDEX leases_held ON leases (holder, kind);
CREATE INDEX leases_placed ON leases (place) WHERE place <> '';

-- At most `capacity` leases name a limit, and at most one task per `interval_seconds` starts, `burst` of them at once.
-- `arrival_at`: when the next one would be due if they came evenly (GCRA). Every claim locks the row of its pool, too.
CREATE TABLE limits (
  name text COLLATE "C" PRIMARY KEY,
  capacity bigint,
  interval_seconds double precision,
  burst bigint NOT NULL DEFAULT 1,
  arrival_at double precision NOT NULL DEFAULT 0
);

CREATE TABLE nodes (
  node text COLLATE "C" PRIMARY KEY,
  host text NOT NULL,
  boot text NOT NULL,
  pid bigint NOT NULL,
  started double precision NOT NULL,
  roles text NOT NULL,
  version text NOT NULL,
  pinned smallint NOT NULL,
  joined_at double precision NOT NULL,
  left_at double precision,
  drain_at double precision,
  refusals text NOT NULL DEFAULT '{}',
  unready text NOT NULL DEFAULT '[]'
);

-- Numbers of one run become visible in their order, since its writers make them one after the other (log_lock).
CREATE SEQUENCE log_numbers;
CREATE TABLE logs (
  run text COLLATE "C" NOT NULL,
  number bigint NOT NULL DEFAULT nextval('log_numbers'),
  path text NOT NULL,
  attempt bigint NOT NULL,
  at double precision NOT NULL,
  stream text NOT NULL,
  text text NOT NULL,
  characters integer,
  PRIMARY KEY (run, number)
) PARTITION BY RANGE (run);
CREATE TABLE logs_other PARTITION OF logs DEFAULT;

CREATE TABLE audit (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at double precision NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  target text NOT NULL,
  detail bytea
);

CREATE INDEX runs_children ON runs (parent, parent_effect) WHERE parent IS NOT NULL;

-- Events that were sent, kept for a day to be looked at; whoever listened was told in the transaction that stored them.
CREATE SEQUENCE event_numbers;
CREATE TABLE events (
  number bigint PRIMARY KEY DEFAULT nextval('event_numbers'),
  namespace text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,
  at double precision NOT NULL,
  body bytea NOT NULL,
  UNIQUE (namespace, source, id)
);
ALTER TABLE events ALTER body SET STORAGE EXTERNAL;
CREATE INDEX events_at ON events (at);

-- Who listens now. An empty type or source stands for any.
CREATE TABLE subscriptions (
  run text COLLATE "C" NOT NULL,
  listener bigint NOT NULL,
  type text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  namespace text COLLATE "C" NOT NULL,
  PRIMARY KEY (run, listener, type, source)
);
CREATE INDEX subscriptions_matched ON subscriptions (namespace, type, source);

CREATE INDEX nodes_left ON nodes (left_at) WHERE left_at IS NOT NULL;

-- For retention, oldest first. Written once, by the commit that ends the run.
CREATE INDEX runs_ended ON runs (ended_at) WHERE ended_at IS NOT NULL;

-- What people look for among millions that went well. A run that completes is never in it, so the usual one pays nothing.
CREATE INDEX runs_unsuccessful ON runs (run) WHERE status IN ('faulted', 'cancelled');

-- Runs that are removed already, whose other rows are still to be deleted, in pieces.
CREATE TABLE removals (
  run text COLLATE "C" PRIMARY KEY
);

-- How far the output of a run's steps is stored, by who writes it: pieces that are sent again, since the reply was lost, are
-- told from new ones.
CREATE TABLE log_writers (
  run text COLLATE "C" NOT NULL,
  writer text COLLATE "C" NOT NULL,
  last bigint NOT NULL,
  PRIMARY KEY (run, writer)
);

CREATE INDEX tasks_held ON tasks (held_by, priority DESC, rank, task) WHERE state = 'held';
CREATE INDEX tasks_delayed ON tasks (ready_at) WHERE state = 'delayed';

-- What a task waits for. A blocking predecessor that fails skips the task; another one only has to end.
CREATE TABLE task_edges (
  predecessor text COLLATE "C" NOT NULL,
  task text COLLATE "C" NOT NULL,
  blocking smallint NOT NULL,
  PRIMARY KEY (predecessor, task)
);
CREATE INDEX task_edges_of_task ON task_edges (task);

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

-- What a step of a Python run gave, written once in the commit that records it, and what undoes a step.
CREATE TABLE memos (
  run text COLLATE "C" NOT NULL,
  number bigint NOT NULL,
  call text NOT NULL,
  undo smallint NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (run, number)
) PARTITION BY RANGE (run);
ALTER TABLE memos ALTER body SET STORAGE EXTERNAL;
CREATE TABLE memos_other PARTITION OF memos DEFAULT;
CREATE INDEX memos_undo ON memos (run, number) WHERE undo = 1;

-- What runs are searched by. `value`: JSON text, so that a number is no text; `number`: the same, where it is one.
CREATE TABLE attributes (
  run text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  namespace text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  number double precision,
  PRIMARY KEY (run, name)
);
CREATE INDEX attributes_found ON attributes (name, value, namespace, run);

-- What a run waits for from outside, by an opaque id.
CREATE TABLE tokens (
  token text COLLATE "C" PRIMARY KEY,
  run text COLLATE "C" NOT NULL,
  effect bigint NOT NULL,
  name text NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'completed', 'failed', 'expired', 'revoked')),
  outcome bytea,
  digest text,
  expires_at double precision,
  created_at double precision NOT NULL,
  completed_at double precision,
  completed_by text,
  step text NOT NULL DEFAULT '',
  terms bytea,
  heartbeat_seconds double precision,
  heartbeat_at double precision,
  detail bytea,
  progress bytea,
  reason text,
  superseded smallint NOT NULL DEFAULT 0
);
ALTER TABLE tokens ALTER outcome SET STORAGE EXTERNAL;
CREATE INDEX tokens_of_run ON tokens (run, token);
CREATE INDEX tokens_pending ON tokens (created_at, expires_at) WHERE state = 'open';

-- Results of steps that other runs may use instead of performing the step.
CREATE TABLE cached (
  namespace text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  body bytea NOT NULL,
  expires_at double precision NOT NULL,
  PRIMARY KEY (namespace, name, key)
);
ALTER TABLE cached ALTER body SET STORAGE EXTERNAL;
CREATE INDEX cached_expiring ON cached (expires_at);

CREATE INDEX leases_targeted ON leases (target, kind, fence) WHERE target IS NOT NULL;

-- Processes that take work. Whether one lives, and since when nobody heard of it, is told by its lease of the kind `worker`; how
-- much it has to do by those that it holds. `session`: which process it is; `assigned`: a number that grows with every task.
CREATE TABLE workers (
  worker text COLLATE "C" PRIMARY KEY,
  session text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL CHECK (state IN ('registered', 'draining', 'offline', 'removed')),
  host text NOT NULL,
  pid bigint NOT NULL,
  capacity bigint NOT NULL,
  silent_seconds double precision NOT NULL,
  capabilities bytea NOT NULL,
  metadata bytea NOT NULL,
  registered_at double precision NOT NULL,
  ended_at double precision,
  assigned bigint NOT NULL DEFAULT 0,
  assigned_at double precision,
  succeeded bigint NOT NULL DEFAULT 0,
  failed bigint NOT NULL DEFAULT 0,
  busy_seconds double precision NOT NULL DEFAULT 0,
  failed_at double precision
);
CREATE INDEX workers_of_state ON workers (state, worker);

-- What became of workers, in the order in which it was done.
CREATE SEQUENCE worker_event_numbers;
CREATE TABLE worker_events (
  number bigint PRIMARY KEY DEFAULT nextval('worker_event_numbers'),
  at double precision NOT NULL,
  worker text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  detail bytea
);
CREATE INDEX worker_events_at ON worker_events (at);

-- Choices, each with its candidates, their scores and the reason.
CREATE SEQUENCE decision_numbers;
CREATE TABLE decisions (
  number bigint PRIMARY KEY DEFAULT nextval('decision_numbers'),
  at double precision NOT NULL,
  kind text COLLATE "C" NOT NULL,
  subject text COLLATE "C" NOT NULL,
  chosen text,
  body bytea NOT NULL
);
CREATE INDEX decisions_of_subject ON decisions (kind, subject, number);
CREATE INDEX decisions_of_kind ON decisions (kind, number);
CREATE INDEX decisions_at ON decisions (at);

-- What each strategy of the balancer counts for, as it was learned from outcomes.
CREATE TABLE weights (
  name text COLLATE "C" PRIMARY KEY,
  weight double precision NOT NULL
);

-- Shared memory: the present value of each key. `version` changes with every write and is never used twice for a key; `stamp`:
-- microseconds since 1970, by which the last writer wins. A deleted cell stays for a while, or an older write would bring it back.
CREATE TABLE cells (
  namespace text COLLATE "C" NOT NULL,
  space text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  value bytea,
  version bigint NOT NULL,
  stamp bigint NOT NULL,
  writer text COLLATE "C" NOT NULL,
  nonce text COLLATE "C" NOT NULL,
  deleted smallint NOT NULL,
  expires_at double precision,
  changed_at double precision NOT NULL,
  writing xid8 NOT NULL,
  PRIMARY KEY (namespace, space, key)
);
CREATE INDEX cells_expiring ON cells (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX cells_deleted ON cells (changed_at) WHERE deleted = 1;

-- Every change of a cell, for who watches; kept for a day. Numbers become visible out of order: who reads on from a cursor reads by
-- `writing`, and only below the oldest transaction that is at work. It is the transaction that wrote, or the one that wrote the cell
-- before if that began later: so the changes of a cell come in their order.
CREATE SEQUENCE cell_change_numbers;
CREATE TABLE cell_changes (
  number bigint PRIMARY KEY DEFAULT nextval('cell_change_numbers'),
  namespace text COLLATE "C" NOT NULL,
  space text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  value bytea,
  version bigint NOT NULL,
  stamp bigint NOT NULL,
  writer text COLLATE "C" NOT NULL,
  nonce text COLLATE "C" NOT NULL,
  deleted smallint NOT NULL,
  at double precision NOT NULL,
  writing xid8 NOT NULL
);
CREATE INDEX cell_changes_of_namespace ON cell_changes (namespace, writing, number);
CREATE INDEX cell_changes_at ON cell_changes (at);
CREATE INDEX cell_changes_sent ON cell_changes (nonce) WHERE nonce <> '';

-- A change is told by the statement that makes it, whichever it is. A value whose time was over before the next one came ended as
-- one version more.
CREATE FUNCTION cell_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF OLD.version = NEW.version THEN
      RETURN NULL;
    END IF;
    IF OLD.expires_at <= NEW.changed_at AND NEW.deleted = 0 THEN
      INSERT INTO cell_changes (namespace, space, key, value, version, stamp, writer, nonce, deleted, at, writing)
      VALUES (NEW.namespace, NEW.space, NEW.key, NULL, OLD.version + 1, OLD.stamp, OLD.writer, '', 1, NEW.changed_at, NEW.writing);
    END IF;
  END IF;
  INSERT INTO cell_changes (namespace, space, key, value, version, stamp, writer, nonce, deleted, at, writing)
  VALUES (NEW.namespace, NEW.space, NEW.key, NEW.value, NEW.version, NEW.stamp, NEW.writer, NEW.nonce, NEW.deleted, NEW.changed_at, NEW.writing);
  RETURN NULL;
END
$$;
CREATE TRIGGER cell_changed AFTER INSERT OR UPDATE ON cells FOR EACH ROW EXECUTE FUNCTION cell_changed();

-- Whom the outcome of a run is to be told, and how far that is. `sealed`: where it goes and by which secret, under the store key;
-- `receiver` and `identity`: proofs of whom and of what exactly was handed in, so that a caller's retry is known. `waiting`: 1 while
-- the run lives. `due_at`: when something is to be done: the outcome told, a heartbeat given (every `beat_seconds`), or, at
-- the deadline, the caller told that it waits in vain. `node` and `fence`: who does it now.
CREATE TABLE deliveries (
  delivery text COLLATE "C" PRIMARY KEY,
  run text COLLATE "C" NOT NULL,
  namespace text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  target text NOT NULL,
  receiver text COLLATE "C" NOT NULL,
  identity text COLLATE "C" NOT NULL,
  sealed bytea NOT NULL,
  state text COLLATE "C" NOT NULL CHECK (state IN ('pending', 'delivered', 'expired', 'failed', 'superseded')),
  waiting smallint NOT NULL,
  attempts bigint NOT NULL DEFAULT 0,
  due_at double precision NOT NULL,
  deadline double precision NOT NULL,
  beat_seconds double precision,
  node text COLLATE "C",
  fence bigint NOT NULL DEFAULT 0,
  problem text,
  created_at double precision NOT NULL,
  ended_at double precision
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'pending';
CREATE INDEX deliveries_waiting ON deliveries (delivery) WHERE state = 'pending' AND waiting = 1;
CREATE INDEX deliveries_claimed ON deliveries (node) WHERE state = 'pending' AND node IS NOT NULL;
CREATE INDEX deliveries_of_run ON deliveries (run, delivery);

-- Each sending, written before it goes out: one without a status may have arrived.
CREATE TABLE delivery_attempts (
  delivery text COLLATE "C" NOT NULL,
  number bigint NOT NULL,
  run text COLLATE "C" NOT NULL,
  node text COLLATE "C" NOT NULL,
  at double precision NOT NULL,
  seconds double precision,
  status text,
  detail text,
  PRIMARY KEY (delivery, number)
);
CREATE INDEX delivery_attempts_of_run ON delivery_attempts (run, delivery, number);

-- The commit that ends a run, whichever it is, makes its deliveries due; the one that reopens it takes that back.
CREATE FUNCTION delivery_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE runs SET called_back = 1 WHERE run = NEW.run AND called_back = 0;
  RETURN NULL;
END
$$;
CREATE TRIGGER delivery_added AFTER INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION delivery_added();
CREATE FUNCTION run_told() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE deliveries
  SET waiting = CASE WHEN NEW.ended_at IS NULL THEN 1 ELSE 0 END,
      due_at = coalesce(NEW.ended_at, CASE WHEN beat_seconds IS NULL THEN deadline ELSE created_at END)
  WHERE run = NEW.run AND state = 'pending';
  RETURN NULL;
END
$$;
CREATE TRIGGER run_told AFTER UPDATE OF ended_at ON runs FOR EACH ROW
  WHEN (NEW.called_back = 1 AND NEW.ended_at IS DISTINCT FROM OLD.ended_at) EXECUTE FUNCTION run_told();

-- API keys. Only a digest of the secret is kept. `namespaces`: a JSON list, NULL for all of them. Revoked ones stay: the audit log
-- names them.
CREATE TABLE api_keys (
  id text COLLATE "C" PRIMARY KEY,
  name text COLLATE "C" NOT NULL,
  digest text COLLATE "C" NOT NULL,
  role text COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'operator', 'worker', 'admin')),
  namespaces text COLLATE "C",
  created_at double precision NOT NULL,
  created_by text COLLATE "C" NOT NULL,
  expires_at double precision,
  revoked_at double precision
);
CREATE INDEX api_keys_live ON api_keys (id) WHERE revoked_at IS NULL;

-- Files that attempts kept: what they are, and where the file is (`place`, in the folder of artifacts). A file is there before its
-- row, and goes after it.
CREATE TABLE artifacts (
  run text COLLATE "C" NOT NULL,
  task text COLLATE "C" NOT NULL,
  attempt integer NOT NULL,
  name text COLLATE "C" NOT NULL,
  path text COLLATE "C" NOT NULL,
  media_type text COLLATE "C" NOT NULL,
  size bigint NOT NULL,
  digest text COLLATE "C" NOT NULL,
  place text COLLATE "C" NOT NULL,
  created_at double precision NOT NULL,
  PRIMARY KEY (run, task, attempt, name)
);

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

-- Who waits for the end of a task graph: the token of a run, for the execution of a step that `visit` names. `is_loaded`: the graph
-- is whole. `ended_at`: when its end was reported, or nobody wanted it any more.
CREATE TABLE waits (
  graph text COLLATE "C" PRIMARY KEY,
  visit text COLLATE "C" NOT NULL,
  token text COLLATE "C" NOT NULL,
  run text COLLATE "C" NOT NULL,
  is_loaded integer NOT NULL,
  ended_at double precision
);
CREATE INDEX waits_open ON waits (graph) WHERE ended_at IS NULL;
CREATE INDEX waits_of_run ON waits (run);

-- Open runs that tasks of graphs started; a child run that nobody awaits looks the same, and is passed over.
CREATE INDEX runs_of_tasks ON runs (run) WHERE parent IS NOT NULL AND parent_effect IS NULL AND ended_at IS NULL;
