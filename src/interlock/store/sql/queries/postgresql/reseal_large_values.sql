-- Primary key. No rows: somebody wrote meanwhile.
UPDATE large_values SET body = :body::bytea
WHERE run = :run::text AND digest = :digest::text AND part = :part::bigint AND
    body IS NOT DISTINCT FROM :was_body::bytea
