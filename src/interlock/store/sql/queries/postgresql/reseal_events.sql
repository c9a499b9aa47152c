-- Primary key. No rows: somebody wrote meanwhile.
UPDATE events SET body = :body::bytea
WHERE number = :number::bigint AND body IS NOT DISTINCT FROM :was_body::bytea
