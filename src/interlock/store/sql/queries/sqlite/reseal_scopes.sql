-- Primary key. No rows: somebody wrote meanwhile.
UPDATE scopes SET body = :body
WHERE run = :run AND scope = :scope AND body IS :was_body
