-- Primary key. No rows: somebody wrote meanwhile.
UPDATE graphs SET document = :document
WHERE graph = :graph AND document IS :was_document
