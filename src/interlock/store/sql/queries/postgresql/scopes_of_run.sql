-- Primary key, prefix.
SELECT scope, body FROM scopes WHERE run = :run ORDER BY scope
