-- Primary key. No rows: somebody wrote meanwhile.
UPDATE cell_changes SET value = :value
WHERE number = :number AND value IS :was_value
