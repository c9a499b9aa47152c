-- Additive: processes of the version before go on with a store that has it; what is due is then delivered by newer ones.

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

-- Whether anybody is to be told how the run ends: 1 from the first of `deliveries` on, so that the end of other runs costs nothing.
ALTER TABLE runs ADD COLUMN called_back INTEGER NOT NULL DEFAULT 0;

-- The commit that ends a run, whichever it is, makes its deliveries due; the one that reopens it takes that back. (No line of a
-- trigger ends in a semicolon: scripts are cut there.)
CREATE TRIGGER delivery_added AFTER INSERT ON deliveries BEGIN
UPDATE runs SET called_back = 1 WHERE run = new.run AND called_back = 0; END;
CREATE TRIGGER run_told AFTER UPDATE OF ended_at ON runs WHEN new.called_back = 1 AND new.ended_at IS NOT old.ended_at BEGIN
UPDATE deliveries SET waiting = new.ended_at IS NULL,
due_at = coalesce(new.ended_at, CASE WHEN beat_seconds IS NULL THEN deadline ELSE created_at END)
WHERE run = new.run AND state = 'pending'; END;
