-- Additive: processes of the version before go on with a store that has it; what is due is then delivered by newer ones.

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

-- Whether anybody is to be told how the run ends: 1 from the first of `deliveries` on, so that the end of other runs costs nothing.
ALTER TABLE runs ADD COLUMN called_back smallint NOT NULL DEFAULT 0;

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
