-- Primary key: the way back by hand.
UPDATE deliveries
SET state = 'pending', due_at = CASE WHEN :waiting = 1 AND beat_seconds IS NULL THEN :deadline ELSE :now END, waiting = :waiting,
    deadline = :deadline, node = NULL, fence = fence + 1, problem = NULL, ended_at = NULL
WHERE delivery = :delivery AND state IN ('failed', 'expired')
