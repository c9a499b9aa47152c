-- Primary key.
SELECT run, number, body FROM memos
WHERE (run, number) > (:run::text, :number::bigint) ORDER BY run, number LIMIT :limit
