-- Primary key.
SELECT run, seq, events FROM history
WHERE (run, seq) > (:run, :seq) ORDER BY run, seq LIMIT :limit
