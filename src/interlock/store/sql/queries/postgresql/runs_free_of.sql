-- Index runs_owned: gives back what a node owned.
UPDATE runs SET owner = NULL WHERE owner = :node AND ended_at IS NULL
