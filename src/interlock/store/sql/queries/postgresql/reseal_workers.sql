-- Primary key. No rows: somebody wrote meanwhile.
UPDATE workers SET metadata = :metadata::bytea
WHERE worker = :worker::text AND metadata IS NOT DISTINCT FROM :was_metadata::bytea
