-- Primary key. No rows: somebody wrote meanwhile.
UPDATE history SET events = :events
WHERE run = :run AND seq = :seq AND events IS :was_events
