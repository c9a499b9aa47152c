-- Primary key. No rows: somebody wrote meanwhile.
UPDATE cells SET value = :value::bytea
WHERE namespace = :namespace::text AND space = :space::text AND key = :key::text AND
    value IS NOT DISTINCT FROM :was_value::bytea
