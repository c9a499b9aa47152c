-- Primary key, prefix. `runs`: a JSON list.
SELECT run, scope, body FROM scopes WHERE run IN (SELECT value FROM json_each(:runs)) ORDER BY run, scope
