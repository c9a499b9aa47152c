-- Primary key.
SELECT run, scope, body FROM scopes
WHERE (run, scope) > (:run::text, :scope::text) ORDER BY run, scope LIMIT :limit
