-- Primary key: leaves the ready index until the settle that frees the limit brings it back.
UPDATE tasks SET state = 'held', held_by = :name, pool = coalesce(lane, pool), fence = fence - 1 WHERE task = :task AND state = 'running'
