-- Primary key. No rows: somebody wrote meanwhile.
UPDATE pools SET settings = :settings
WHERE pool = :pool AND settings IS :was_settings
