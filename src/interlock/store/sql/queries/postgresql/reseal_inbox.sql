-- Primary key. No rows: somebody wrote meanwhile.
UPDATE inbox SET cause = :cause::bytea
WHERE number = :number::bigint AND cause IS NOT DISTINCT FROM :was_cause::bytea
