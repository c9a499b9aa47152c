-- Primary key. No rows: somebody wrote meanwhile.
UPDATE cell_changes SET value = :value::bytea
WHERE number = :number::bigint AND value IS NOT DISTINCT FROM :was_value::bytea
