ALTER TABLE runs ADD COLUMN parent text COLLATE "C", ADD COLUMN parent_effect bigint;
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
