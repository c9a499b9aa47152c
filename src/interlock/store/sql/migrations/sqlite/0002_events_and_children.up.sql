ALTER TABLE runs ADD COLUMN parent TEXT;
ALTER TABLE runs ADD COLUMN parent_effect INTEGER;
CREATE INDEX runs_children ON runs (parent, parent_effect) WHERE parent IS NOT NULL;

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
