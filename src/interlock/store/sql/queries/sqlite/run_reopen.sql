-- Primary key: the one way back out of an ended status.
UPDATE runs
SET status = 'running', ended_at = NULL, fault = NULL, epoch = epoch + 1, owner = :node,
    freed_at = CASE WHEN :node IS NULL THEN :at END
WHERE run = :run AND status = 'faulted'
RETURNING epoch
