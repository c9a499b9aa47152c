-- Index of the unique (run, cause_id): what came in while the run ended concerns nobody any more.
DELETE FROM inbox WHERE run = :run AND EXISTS (SELECT 1 FROM runs WHERE run = :run AND status = 'faulted')
