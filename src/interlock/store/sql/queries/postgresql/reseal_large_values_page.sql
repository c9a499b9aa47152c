-- Primary key.
SELECT run, digest, part, body FROM large_values
WHERE (run, digest, part) > (:run::text, :digest::text, :part::bigint) ORDER BY run, digest, part LIMIT :limit
