-- Primary key: one that has not begun; it waits for the gate at least.
UPDATE tasks SET pool = :pool, lane = :lane, priority = :priority, rank = coalesce(:rank, rank), target = :target, folder = :folder, needs = :needs,
  spec = :spec, linked = :linked, attempt = 1, used = NULL, held_by = NULL, idempotency_key = :idempotency_key,
  state = 'blocked'
WHERE task = :task AND state IN ('blocked', 'ready', 'held', 'delayed', 'quarantined')
