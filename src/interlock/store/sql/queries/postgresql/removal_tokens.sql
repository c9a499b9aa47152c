-- Index tokens_of_run.
DELETE FROM tokens WHERE run = :run AND token IN (SELECT token FROM tokens WHERE run = :run LIMIT :limit)
