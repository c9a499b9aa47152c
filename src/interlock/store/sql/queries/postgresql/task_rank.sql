-- Primary key.
UPDATE tasks SET priority = :priority, rank = :rank, spec = :spec WHERE task = :task AND state NOT IN ('done', 'failed', 'cancelled', 'skipped')
