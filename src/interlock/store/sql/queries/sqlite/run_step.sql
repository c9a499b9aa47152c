-- As run_advance, for a run that goes on here: what indexes hold is not set, or SQLite would write their pages anew.
UPDATE runs
SET seq = seq + 1, status = :status, wake_at = :wake_at, head = :head, partial = :partial,
    output = :output, fault = :fault, started_at = coalesce(started_at, :started_at), shown = coalesce(:shown, shown)
WHERE run = :run AND epoch = :epoch AND seq = :seq AND owner IS NOT NULL AND ended_at IS NULL
