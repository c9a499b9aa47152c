-- Primary key. No rows: somebody wrote meanwhile.
UPDATE history SET events = :events::bytea
WHERE run = :run::text AND seq = :seq::bigint AND events IS NOT DISTINCT FROM :was_events::bytea
