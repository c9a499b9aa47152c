-- Primary key. No rows: somebody wrote meanwhile.
UPDATE workers SET metadata = :metadata
WHERE worker = :worker AND metadata IS :was_metadata
