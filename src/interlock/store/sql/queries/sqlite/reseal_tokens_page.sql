-- Primary key.
SELECT token, outcome, terms, detail, progress, reason FROM tokens
WHERE token > :token ORDER BY token LIMIT :limit
