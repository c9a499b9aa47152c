-- Primary key.
SELECT run, number, body FROM memos
WHERE (run, number) > (:run, :number) ORDER BY run, number LIMIT :limit
