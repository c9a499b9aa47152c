-- Primary key.
SELECT run, scope, body FROM scopes
WHERE (run, scope) > (:run, :scope) ORDER BY run, scope LIMIT :limit
