-- Primary key. No rows: somebody wrote meanwhile.
UPDATE inbox SET cause = :cause
WHERE number = :number AND cause IS :was_cause
