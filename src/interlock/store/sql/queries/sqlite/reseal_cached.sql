-- Primary key. No rows: somebody wrote meanwhile.
UPDATE cached SET body = :body
WHERE namespace = :namespace AND name = :name AND key = :key AND body IS :was_body
