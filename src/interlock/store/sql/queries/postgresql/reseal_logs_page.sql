-- Primary key.
SELECT run, number, text FROM logs
WHERE (run, number) > (:run::text, :number::bigint) ORDER BY run, number LIMIT :limit
