-- Primary key. Zero rows: another node took the run over, the run was freed since its node was given up for dead, or this
-- commit was applied before.
UPDATE runs
SET seq = seq + 1, status = :status, wake_at = :wake_at, head = :head, partial = :partial,
    output = :output, fault = :fault, started_at = coalesce(started_at, :started_at),
    ended_at = :ended_at, owner = CASE WHEN :release THEN NULL ELSE owner END,
    freed_at = CASE WHEN :release THEN :at END, shown = coalesce(:shown, shown)
WHERE run = :run AND epoch = :epoch AND seq = :seq AND owner IS NOT NULL AND ended_at IS NULL
