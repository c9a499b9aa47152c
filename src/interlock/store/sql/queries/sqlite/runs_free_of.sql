-- Index runs_owned: gives back what a node owned.
UPDATE runs SET owner = NULL, freed_at = :at WHERE owner = :node AND ended_at IS NULL
