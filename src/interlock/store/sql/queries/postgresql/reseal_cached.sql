-- Primary key. No rows: somebody wrote meanwhile.
UPDATE cached SET body = :body::bytea
WHERE namespace = :namespace::text AND name = :name::text AND key = :key::text AND
    body IS NOT DISTINCT FROM :was_body::bytea
