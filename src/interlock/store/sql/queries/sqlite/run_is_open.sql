-- Primary keys; the index of the inbox by run. Whether nothing has come for it that was not applied yet.
SELECT NOT EXISTS (SELECT 1 FROM inbox WHERE run = :run) FROM runs WHERE run = :run AND ended_at IS NULL
