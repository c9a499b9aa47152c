-- Additive: processes of the version before go on with a store that has it. What is dropped here nothing of theirs names.

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

-- Progress and status of a run as its author put them: JSON, NULL for nothing.
ALTER TABLE runs ADD COLUMN shown bytea;
ALTER TABLE runs ALTER shown SET STORAGE EXTERNAL;

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
  completed_by text
);
ALTER TABLE tokens ALTER outcome SET STORAGE EXTERNAL;
CREATE INDEX tokens_of_run ON tokens (run, token);

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

ALTER TABLE logs DROP COLUMN writer;
DROP INDEX leases_placed;
