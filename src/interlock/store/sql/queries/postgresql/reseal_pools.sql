-- Primary key. No rows: somebody wrote meanwhile.
UPDATE pools SET settings = :settings::bytea
WHERE pool = :pool::text AND settings IS NOT DISTINCT FROM :was_settings::bytea
