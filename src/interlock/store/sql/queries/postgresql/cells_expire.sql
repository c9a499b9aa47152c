-- Index cells_expiring. Ends values whose time is over, some at a time; one that is just being written is left to its writer.
UPDATE cells AS c SET value = NULL, version = c.version + 1, nonce = '', deleted = 1, expires_at = NULL, changed_at = coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8), writing = greatest(pg_current_xact_id(), c.writing)
FROM (SELECT namespace, space, key FROM cells WHERE expires_at <= coalesce(:now::float8, extract(epoch FROM statement_timestamp())::float8) ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED) AS e
WHERE c.namespace = e.namespace AND c.space = e.space AND c.key = e.key
