-- Primary key.
SELECT run, digest, part, body FROM large_values
WHERE (run, digest, part) > (:run, :digest, :part) ORDER BY run, digest, part LIMIT :limit
