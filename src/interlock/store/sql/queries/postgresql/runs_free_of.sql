-- Index runs_owned: gives back what a node owned.
UPDATE runs SET owner = NULL, freed_at = coalesce(:now::float8, extract(epoch FROM clock_timestamp())::float8) WHERE owner = :node AND ended_at IS NULL
