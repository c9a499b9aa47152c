-- Additive: processes of the version before go on with a store that has it.

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
