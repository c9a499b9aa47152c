-- Primary key. No rows: somebody wrote meanwhile.
UPDATE decisions SET body = :body
WHERE number = :number AND body IS :was_body
