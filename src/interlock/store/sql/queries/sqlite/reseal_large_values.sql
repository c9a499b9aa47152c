-- Primary key. No rows: somebody wrote meanwhile.
UPDATE large_values SET body = :body
WHERE run = :run AND digest = :digest AND part = :part AND body IS :was_body
