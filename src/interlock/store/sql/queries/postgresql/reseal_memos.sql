-- Primary key. No rows: somebody wrote meanwhile.
UPDATE memos SET body = :body::bytea
WHERE run = :run::text AND number = :number::bigint AND body IS NOT DISTINCT FROM :was_body::bytea
