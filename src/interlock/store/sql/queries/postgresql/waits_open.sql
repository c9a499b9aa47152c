-- Index waits_open, then the primary key of runs.
SELECT 1 FROM waits AS w WHERE w.ended_at IS NULL
  AND (:node::text IS NULL OR EXISTS (SELECT 1 FROM runs AS r WHERE r.run = w.run AND r.owner = :node::text)) LIMIT 1
