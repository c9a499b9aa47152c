-- Primary key. No rows: somebody wrote meanwhile.
UPDATE scopes SET body = :body::bytea
WHERE run = :run::text AND scope = :scope::text AND body IS NOT DISTINCT FROM :was_body::bytea
