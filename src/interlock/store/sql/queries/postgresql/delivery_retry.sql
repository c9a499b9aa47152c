-- Primary key: the way back by hand.
UPDATE deliveries
SET state = 'pending', due_at = CASE WHEN :waiting::smallint = 1 AND beat_seconds IS NULL THEN :deadline::float8 ELSE :now::float8 END, waiting = :waiting,
    deadline = :deadline::float8, node = NULL, fence = fence + 1, problem = NULL, ended_at = NULL
WHERE delivery = :delivery AND state IN ('failed', 'expired')
