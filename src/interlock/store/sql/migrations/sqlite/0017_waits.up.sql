-- Additive: processes of the version before go on with a store that has it.

-- Who waits for the end of a task graph: the token of a run, for the execution of a step that `visit` names. `is_loaded`: the graph
-- is whole. `ended_at`: when its end was reported, or nobody wanted it any more.
CREATE TABLE waits (
  graph TEXT PRIMARY KEY,
  visit TEXT NOT NULL,
  token TEXT NOT NULL,
  run TEXT NOT NULL,
  is_loaded INTEGER NOT NULL,
  ended_at REAL
) WITHOUT ROWID;
CREATE INDEX waits_open ON waits (graph) WHERE ended_at IS NULL;
CREATE INDEX waits_of_run ON waits (run);
