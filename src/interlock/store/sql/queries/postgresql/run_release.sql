-- Primary key. Zero rows: the run belongs to another node by now.
UPDATE runs SET owner = NULL, freed_at = :at
WHERE run = :run AND epoch = :epoch AND owner = :node AND ended_at IS NULL
