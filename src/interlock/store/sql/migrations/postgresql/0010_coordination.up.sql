-- Additive: processes of the version before go on with a store that has it.

-- How long a lease lasts from one renewal to the next (NULL: as its holder's node says), since when there is this grant, what people
-- are told of it, and the lock that a share, or a place in a queue, belongs to.
ALTER TABLE leases ADD COLUMN ttl double precision;
ALTER TABLE leases ADD COLUMN granted_at double precision;
ALTER TABLE leases ADD COLUMN detail bytea;
ALTER TABLE leases ADD COLUMN target text COLLATE "C";
CREATE INDEX leases_targeted ON leases (target, kind, fence) WHERE target IS NOT NULL;

-- What a task asks of the worker that takes it, as JSON; NULL for nothing.
ALTER TABLE tasks ADD COLUMN needs text;

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
