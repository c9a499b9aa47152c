-- Primary key: the one way back out of an ended status.
UPDATE runs
SET status = 'running', ended_at = NULL, fault = NULL, epoch = epoch + 1, owner = :node::text,
    freed_at = CASE WHEN :node::text IS NULL THEN :at::float8 END
WHERE run = :run AND status = 'faulted'
RETURNING epoch
