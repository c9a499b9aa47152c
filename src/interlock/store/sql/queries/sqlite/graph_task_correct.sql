-- Primary key: one that ended without success; what its author changed counts when somebody has it tried again.
UPDATE tasks SET lane = :lane, priority = :priority, rank = coalesce(:rank, rank), target = :target, folder = :folder, needs = :needs,
  spec = :spec, linked = :linked, idempotency_key = :idempotency_key
WHERE task = :task AND state IN ('failed', 'cancelled', 'skipped')
