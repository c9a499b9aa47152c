-- Primary key. No rows: somebody wrote meanwhile.
UPDATE events SET body = :body
WHERE number = :number AND body IS :was_body
