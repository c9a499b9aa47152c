-- Primary key. No rows: somebody wrote meanwhile.
UPDATE memos SET body = :body
WHERE run = :run AND number = :number AND body IS :was_body
