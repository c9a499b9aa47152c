-- Primary key.
SELECT run, seq, events FROM history
WHERE (run, seq) > (:run::text, :seq::bigint) ORDER BY run, seq LIMIT :limit
