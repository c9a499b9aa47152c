-- Index runs_owned: gives back what a node owned.
UPDATE runs SET owner = NULL, freed_at = coalesce(:now, (julianday('now') - 2440587.5) * 86400.0) WHERE owner = :node AND ended_at IS NULL
