-- Every row of the inbox, which holds only what was not applied yet: an outcome may come in while its run ends.
DELETE FROM inbox WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.run = inbox.run AND runs.ended_at IS NULL)
