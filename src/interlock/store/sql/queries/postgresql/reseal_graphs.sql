-- Primary key. No rows: somebody wrote meanwhile.
UPDATE graphs SET document = :document::bytea
WHERE graph = :graph::text AND document IS NOT DISTINCT FROM :was_document::bytea
