-- How far the output of a run's steps is stored, by who writes it: pieces that are sent again, since the reply was lost, are
-- told from new ones.
CREATE TABLE log_writers (
  run text COLLATE "C" NOT NULL,
  writer text COLLATE "C" NOT NULL,
  last bigint NOT NULL,
  PRIMARY KEY (run, writer)
);
