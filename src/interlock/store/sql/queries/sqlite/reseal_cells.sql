-- Primary key. No rows: somebody wrote meanwhile.
UPDATE cells SET value = :value
WHERE namespace = :namespace AND space = :space AND key = :key AND value IS :was_value
